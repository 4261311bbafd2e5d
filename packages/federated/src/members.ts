/** Participants that are connected now. They may leave and come back while a round goes on. */
import { AttestationResult } from "@vivarium/attestation";
import type { Channel } from "@vivarium/channel";
import { throwIfAborted } from "@vivarium/core";
import { FederatedError } from "./errors.ts";

/** What is used of a channel. */
export type MemberChannel = Pick<Channel, "call" | "stream" | "peer" | "closed">;

export interface Member {
  /** Fingerprint of the participant's identity. */
  readonly identity: string;
  readonly channel: MemberChannel;
  readonly attestation: AttestationResult;
  /** Training examples, as the participant says. */
  readonly examples: number;
}

export class Members {
  readonly #present = new Map<string, Member>();
  readonly #refused = new Map<string, string>();
  readonly #waiting = new Set<() => void>();

  /** The newest channel of an identity counts. @returns undefined for one that is in quarantine. */
  add(channel: MemberChannel, examples: number): Member | undefined {
    const { peer } = channel;
    if (!AttestationResult.is(peer)) {
      throw new FederatedError("refused", "A participant without attestation is no member.");
    }
    const member = { identity: peer.identity, channel, attestation: peer, examples };
    if (this.#refused.has(member.identity)) return undefined;
    this.#present.set(member.identity, member);
    void channel.closed.then(() => {
      if (this.#present.get(member.identity) === member) this.#present.delete(member.identity);
      this.#changed();
    });
    this.#changed();
    return member;
  }

  /** In the order of their identities. */
  present(): readonly Member[] {
    return [...this.#present.values()].sort((a, b) => (a.identity < b.identity ? -1 : 1));
  }

  get(identity: string): Member | undefined {
    return this.#present.get(identity);
  }

  /** A participant that sent what it must not: out for the rest of the run, which goes on. */
  quarantine(identity: string, reason: string): void {
    this.#refused.set(identity, reason);
    this.#present.delete(identity);
    this.#changed();
  }

  get quarantined(): ReadonlyMap<string, string> {
    return this.#refused;
  }

  /** Resolves when somebody comes or goes, or after `ms`. */
  async change(ms: number, signal: AbortSignal): Promise<void> {
    throwIfAborted(signal);
    await new Promise<void>((resolve) => {
      const wake = (): void => {
        clearTimeout(timer);
        this.#waiting.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.#waiting.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
    throwIfAborted(signal);
  }

  /** @throws FederatedError `timeout` if fewer come in time. */
  async atLeast(count: number, ms: number, signal: AbortSignal): Promise<readonly Member[]> {
    const end = performance.now() + ms;
    for (;;) {
      const present = this.present();
      if (present.length >= count) return present;
      const left = end - performance.now();
      if (left <= 0) {
        throw new FederatedError(
          "timeout",
          `Only ${present.length} of ${count} participants are there after ${Math.round(ms / 1000)} s.`,
        );
      }
      await this.change(left, signal);
    }
  }

  #changed(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
