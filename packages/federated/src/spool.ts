/** Sealed updates of a round until their keys come: on disk, whatever their size. */
import { createHash } from "node:crypto";
import { mkdir, open, rm } from "node:fs/promises";
import { join } from "node:path";
import { FederatedError } from "./errors.ts";

export interface Spool {
  /** Keeps the pieces and returns the SHA-256 of all of them. Replaces what a first attempt left. */
  write(round: number, participant: string, pieces: AsyncIterable<Uint8Array>): Promise<Uint8Array>;
  /** The pieces again, of the lengths given. @throws FederatedError `wrong-state` if they are gone. */
  read(round: number, participant: string, lengths: readonly number[]): AsyncIterable<Uint8Array>;
  /** Forgets a round. */
  remove(round: number): Promise<void>;
}

/** In memory: for simulations and tests. */
export function memorySpool(): Spool {
  const held = new Map<string, Uint8Array[]>();
  const name = (round: number, participant: string): string => `${round} ${participant}`;
  return {
    async write(round, participant, pieces) {
      const hash = createHash("sha256");
      const kept: Uint8Array[] = [];
      for await (const piece of pieces) {
        hash.update(piece);
        kept.push(piece);
      }
      held.set(name(round, participant), kept);
      return new Uint8Array(hash.digest());
    },
    async *read(round, participant) {
      yield* held.get(name(round, participant)) ?? gone();
    },
    async remove(round) {
      for (const key of held.keys()) if (key.startsWith(`${round} `)) held.delete(key);
    },
  };
}

/** @param directory absolute, private to its owner; ciphertext only lies there. */
export function fileSpool(directory: string): Spool {
  const folder = (round: number): string => join(directory, `round-${round}`);
  const path = (round: number, participant: string): string =>
    join(folder(round), createHash("sha256").update(participant).digest("hex").slice(0, 32));
  return {
    async write(round, participant, pieces) {
      await mkdir(folder(round), { recursive: true, mode: 0o700 });
      const hash = createHash("sha256");
      const file = await open(path(round, participant), "w", 0o600);
      try {
        for await (const piece of pieces) {
          hash.update(piece);
          await file.write(piece);
        }
        await file.sync();
      } finally {
        await file.close();
      }
      return new Uint8Array(hash.digest());
    },
    async *read(round, participant, lengths) {
      const file = await open(path(round, participant), "r").catch(gone);
      try {
        for (const length of lengths) {
          const { bytesRead, buffer } = await file.read(new Uint8Array(length), 0, length, null);
          if (bytesRead !== length) gone();
          yield buffer;
        }
      } finally {
        await file.close();
      }
    },
    remove: (round) => rm(folder(round), { recursive: true, force: true }),
  };
}

/** The digest of a participant's pieces on disk, to see that they are still those that came. */
export async function spoolDigest(
  spool: Spool,
  round: number,
  participant: string,
  lengths: readonly number[],
): Promise<Uint8Array | undefined> {
  const hash = createHash("sha256");
  try {
    for await (const piece of spool.read(round, participant, lengths)) hash.update(piece);
  } catch {
    return undefined;
  }
  return new Uint8Array(hash.digest());
}

function gone(): never {
  throw new FederatedError("wrong-state", "A sealed update of this round is gone or cut short.");
}
