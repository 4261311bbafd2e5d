/** The launcher's end of one process: its messages, its delegation, its evidence, its end. */
import type { ChildProcess } from "node:child_process";
import { chmodSync, rmSync } from "node:fs";
import type { Duplex } from "node:stream";
import {
  AttestationError,
  type Attester,
  attestationErrorClass,
  createDelegation,
  encodeEvidence,
  type Policy,
  type Statement,
} from "@vivarium/attestation";
import {
  type Clock,
  type Crypto,
  type Encodable,
  fromErrorRecord,
  type Log,
  toErrorRecord,
} from "@vivarium/core";
import { deferred } from "./deferred.ts";
import { type Exit, WorkersError, workersErrorClass } from "./errors.ts";
import { innermostPid, type WorkerIsolation } from "./isolation.ts";
import type { LaunchOptions, ResolvedLimits, Worker, WorkerState } from "./launch.ts";
import { launchLimits, linkLimits } from "./limits.ts";
import { type Link, openLink } from "./link.ts";
import type { Copy } from "./measure.ts";
import { type FromWorker, readFromWorker, type ToWorker } from "./messages.ts";

type Hello = Extract<FromWorker, { type: "hello" }>;

interface Parts {
  readonly child: ChildProcess;
  readonly link: Duplex;
  readonly copy: Copy;
  readonly isolation: WorkerIsolation;
  readonly attester: Attester;
  readonly measured: Omit<Statement, "keys">;
  readonly policy: Policy;
  readonly limits: ResolvedLimits;
  readonly options: LaunchOptions & {
    readonly crypto: Crypto;
    readonly clock: Clock;
    readonly log: Log;
  };
}

/** How long after the end of a process its last messages may still arrive. */
const lastWordsMs = 2_000;

export class Supervisor {
  readonly #parts: Parts;
  readonly #link: Link;
  readonly #result = deferred<Encodable>();
  readonly #hello = deferred<Hello>();
  readonly #exited = deferred<Exit>();
  readonly #linkEnded = deferred<void>();
  readonly #cancels: (() => void)[] = [];
  #state: WorkerState | "starting" = "starting";
  #greeted = false;
  #exiting = false;
  #stopping = false;
  #failure: WorkersError | undefined;
  #openEvidence = 0;
  #evidenceTimes: number[] = [];

  constructor(parts: Parts) {
    this.#parts = parts;
    // Whoever awaits these sees the rejection; who does not must not crash the launcher.
    this.#result.promise.catch(() => undefined);
    this.#hello.promise.catch(() => undefined);
    const { child } = parts;
    this.#link = openLink(parts.link, linkLimits, {
      message: (value) => this.#receive(readFromWorker(value)),
      end: (error) => {
        if (error !== undefined) this.#fail(error);
        this.#linkEnded.resolve();
      },
    });
    child.once("error", (cause) => {
      this.#failure ??= new WorkersError("start-failed", "The worker's process cannot start.", {
        cause,
      });
      // Without a pid there will be no exit event.
      if (child.pid === undefined) void this.#finish({ code: null, signal: null });
    });
    child.once("exit", (code, signal) => void this.#finish({ code, signal }));
    // Last resort when the launcher itself exits without waiting.
    const lastResort = () => {
      this.#kill();
      try {
        chmodSync(parts.copy.directory, 0o700);
        rmSync(parts.copy.directory, { recursive: true, force: true });
      } catch {
        // The next launcher's sweep removes it.
      }
    };
    process.once("exit", lastResort);
    this.#cancels.push(() => process.removeListener("exit", lastResort));
  }

  /** Waits for the hello, answers it, and gives the handle. */
  async ready(): Promise<Worker> {
    const { options } = this.#parts;
    const timeoutMs = options.startTimeoutMs ?? 60_000;
    const cancel = options.clock.after(timeoutMs, () =>
      this.#fail(
        new WorkersError("start-failed", `The worker did not say hello within ${timeoutMs} ms.`),
      ),
    );
    const abort = () => void this.#stop();
    options.signal?.addEventListener("abort", abort, { once: true });
    this.#cancels.push(() => options.signal?.removeEventListener("abort", abort));
    try {
      const hello = await this.#hello.promise;
      const statement: Statement = {
        ...this.#parts.measured,
        keys: {
          tls: hello.tls,
          signing: hello.signing,
          hpke: hello.hpke,
          receipt: hello.receipt,
        },
      };
      const delegation = await this.#delegate(hello.signing);
      if (options.signal?.aborted === true) {
        throw new WorkersError("aborted", "The launch was cancelled.", {
          cause: options.signal.reason,
        });
      }
      this.#start(delegation);
      this.#renewLater(hello.signing);
      return this.#handle(statement);
    } catch (error) {
      this.#kill();
      await this.#exited.promise;
      throw error;
    } finally {
      cancel();
    }
  }

  #start(delegation: Uint8Array): void {
    const { options, measured, copy, policy, limits } = this.#parts;
    this.#send({
      type: "start",
      role: options.role,
      workload: options.workload,
      config: options.config,
      policy: policy as unknown as Encodable,
      evidence: this.#parts.attester.type,
      tasks: copy.manifest.tasks,
      threads: limits.threads,
      runtime: measured.runtime,
      flags: measured.flags,
      code: measured.code,
      policyDigest: measured.policy,
      configDigest: measured.config,
      delegation,
    });
    this.#enter("ready");
  }

  #handle(statement: Statement): Worker {
    const state = () => (this.#state === "starting" ? "ready" : this.#state);
    const stop = () => this.#stop();
    return {
      pid: innermostPid(this.#parts.child.pid ?? 0, this.#parts.isolation),
      statement,
      isolation: this.#parts.isolation,
      get state() {
        return state();
      },
      result: this.#result.promise,
      exited: this.#exited.promise,
      send: (value) => this.#send({ type: "message", value }),
      stop,
      [Symbol.asyncDispose]: stop,
    };
  }

  #send(message: ToWorker): void {
    this.#link.send(message as unknown as Encodable);
  }

  #receive(message: FromWorker): void {
    const { options } = this.#parts;
    if (message.type === "hello") {
      // A second hello would bring other keys under the same delegation.
      if (this.#state !== "starting" || this.#greeted) {
        throw new WorkersError("protocol", "A second hello came.");
      }
      this.#greeted = true;
      this.#hello.resolve(message);
      return;
    }
    const early: readonly string[] = ["failure", "log", "exiting", "draining"];
    if (this.#state === "starting" && !early.includes(message.type)) {
      throw new WorkersError("protocol", `A message "${message.type}" came before the hello.`);
    }
    switch (message.type) {
      case "running":
        if (this.#state === "ready") this.#enter("running");
        return;
      case "draining":
        this.#draining();
        return;
      case "exiting":
        this.#exiting = true;
        return;
      case "evidence":
        this.#admitEvidence();
        void this.#collect(message.id, message.reportData);
        return;
      case "event":
        options.onEvent?.({ kind: "event", value: message.value });
        return;
      case "log":
        options.log.event(message.level, message.event, { ...message.fields, role: options.role });
        return;
      case "result":
        this.#result.resolve(message.value);
        return;
      case "failure": {
        const classes = [...(options.errorClasses ?? []), attestationErrorClass, workersErrorClass];
        const error = fromErrorRecord(message.error, classes);
        this.#hello.reject(error);
        this.#result.reject(error);
        return;
      }
      default:
        message satisfies never;
    }
  }

  #admitEvidence(): void {
    const now = this.#parts.options.clock.monotonic();
    this.#evidenceTimes = this.#evidenceTimes.filter((time) => now - time < 60_000);
    if (
      this.#openEvidence >= launchLimits.maxOpenEvidenceRequests ||
      this.#evidenceTimes.length >= launchLimits.maxEvidenceRequestsPerMinute
    ) {
      throw new WorkersError("protocol", "The worker asks for too much evidence.");
    }
    this.#openEvidence += 1;
    this.#evidenceTimes.push(now);
  }

  async #collect(id: number, reportData: Uint8Array): Promise<void> {
    try {
      // The attester holds what this launcher measured; the request carries 64 bytes, no claims.
      const evidence = await this.#parts.attester.collect(reportData);
      this.#send({ type: "evidence", id, evidence: encodeEvidence(evidence) });
    } catch (error) {
      const record = toErrorRecord(
        error instanceof AttestationError
          ? error
          : new AttestationError("unavailable", "The launcher cannot sign evidence."),
      );
      this.#send({ type: "no-evidence", id, error: record });
    } finally {
      this.#openEvidence -= 1;
    }
  }

  async #delegate(worker: Uint8Array): Promise<Uint8Array> {
    const { options, measured } = this.#parts;
    const now = options.clock.now();
    return createDelegation(options.identity, {
      worker,
      code: measured.code,
      workload: options.workload,
      notBefore: now,
      notAfter: now + this.#delegationMs,
    });
  }

  get #delegationMs(): number {
    return this.#parts.options.delegationMs ?? 43_200_000;
  }

  /** The same key again, from the launcher's own memory: the process cannot have another one signed. */
  #renewLater(worker: Uint8Array): void {
    const { clock, log, role } = this.#parts.options;
    let cancel = () => {};
    const schedule = (delayMs: number) => {
      cancel = clock.after(delayMs, () => {
        this.#delegate(worker).then(
          (delegation) => {
            this.#send({ type: "delegation", delegation });
            schedule(this.#delegationMs / 2);
          },
          () => {
            log.event("error", "worker.delegation-failed", { role });
            schedule(30_000);
          },
        );
      });
    };
    schedule(this.#delegationMs / 2);
    this.#cancels.push(() => cancel());
  }

  #draining(): void {
    if (this.#state === "draining" || this.#state === "exited") return;
    if (this.#state !== "starting") this.#enter("draining");
    const { clock, graceMs } = this.#parts.options;
    this.#cancels.push(clock.after(graceMs ?? 10_000, () => this.#kill()));
  }

  async #stop(): Promise<void> {
    if (this.#state !== "exited") {
      this.#stopping = true;
      if (this.#state === "starting") this.#kill();
      else {
        this.#draining();
        this.#send({ type: "drain" });
        this.#signal("SIGTERM");
      }
    }
    await this.#exited.promise;
  }

  #fail(error: Error): void {
    this.#failure ??=
      error instanceof WorkersError
        ? error
        : new WorkersError("protocol", "The link to the worker broke.", { cause: error });
    this.#parts.options.log.event("error", "worker.refused", {
      role: this.#parts.options.role,
      reason: this.#failure.message,
    });
    this.#kill();
  }

  #kill(): void {
    this.#signal("SIGKILL");
  }

  #signal(signal: "SIGTERM" | "SIGKILL"): void {
    const { pid } = this.#parts.child;
    if (pid === undefined || this.#state === "exited") return;
    try {
      process.kill(-pid, signal);
    } catch {
      // Already gone.
    }
  }

  async #finish(exit: Exit): Promise<void> {
    if (this.#state === "exited") return;
    // What the process started may outlive it, unless it has a PID namespace.
    this.#kill();
    const cut = deferred<void>();
    const timer = setTimeout(() => cut.resolve(), lastWordsMs);
    await Promise.race([this.#linkEnded.promise, cut.promise]);
    clearTimeout(timer);
    this.#enter("exited");
    this.#link.close();
    for (const cancel of this.#cancels) cancel();
    const error = this.#failure ?? this.#explain(exit);
    this.#hello.reject(error);
    this.#result.reject(error);
    await this.#parts.copy.remove().catch(() => undefined);
    this.#exited.resolve(exit);
  }

  #explain(exit: Exit): WorkersError {
    const { role } = this.#parts.options;
    const how = exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
    if (this.#stopping) {
      return new WorkersError("aborted", `The worker "${role}" was stopped (${how}).`, { exit });
    }
    // unshare may turn the signal that ended its child into exit code 1, so the code alone does not
    // tell; a process that was killed did not say that it exits.
    if (exit.signal !== null || !this.#exiting) {
      return new WorkersError(
        "killed",
        `The worker "${role}" was killed (${how}); out of memory, or by someone on this machine.`,
        { exit },
      );
    }
    return new WorkersError("exited", `The worker "${role}" ended without a result (${how}).`, {
      exit,
    });
  }

  #enter(state: WorkerState): void {
    this.#state = state;
    this.#parts.options.log.event("info", `worker.${state}`, { role: this.#parts.options.role });
    this.#parts.options.onEvent?.({ kind: "state", state });
  }
}
