/**
 * The inside of a trust domain: makes this process's keys, asks its launcher for a delegation and
 * for evidence, runs the workload's main function, drains on SIGTERM, and ends with its launcher.
 */
import { fstatSync, writeSync } from "node:fs";
import { url as inspectorUrl } from "node:inspector";
import { Socket } from "node:net";
import { dirname, join } from "node:path";
import {
  type Attester,
  attestationErrorClass,
  decodeEvidence,
  type Evidence,
  type Policy,
  parsePolicy,
  policyDigest,
  type Statement,
} from "@vivarium/attestation";
import { createTlsIdentity, type TlsIdentity } from "@vivarium/channel";
import {
  type Clock,
  type Crypto,
  concat,
  type Encodable,
  encode,
  equalBytes,
  fromErrorRecord,
  type Log,
  type Random,
  type Signer,
  systemClock,
  systemRandom,
  throwIfAborted,
  toErrorRecord,
  u32,
} from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { generateRecipient, type HpkeKey } from "@vivarium/seal";
import { configDigest } from "./digests.ts";
import { WorkersError } from "./errors.ts";
import { lazyPool } from "./lazy-pool.ts";
import { launchLimits, linkLimits } from "./limits.ts";
import { type Link, openLink } from "./link.ts";
import { createMailbox, type Mailbox } from "./mailbox.ts";
import { type FromWorker, readToWorker, type ToWorker } from "./messages.ts";
import type { Pool, PoolOptions } from "./pool.ts";

/** What the workload's main function gets. */
export interface TrustDomain {
  readonly role: string;
  readonly workload: string;
  readonly config: Encodable;
  readonly policy: Policy;
  /** For the Hello of a channel. */
  readonly statement: Statement;
  readonly tls: TlsIdentity;
  /** Worker key: signs bindings. */
  readonly signer: Signer;
  readonly receiptSigner: Signer;
  readonly hpke: HpkeKey;
  /** The newest delegation of the party's identity to `signer`. */
  delegation(): Uint8Array;
  /** Evidence about this process, signed by whoever measured it. */
  readonly attester: Attester;
  readonly crypto: Crypto;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Log;
  /** Fires when the process is to drain: finish or give up, within the launcher's `graceMs`. */
  readonly signal: AbortSignal;
  /** Hands a value to the launcher's `onEvent`. */
  emit(event: Encodable): void;
  /** What the launcher sends with `Worker.send`; ends with the launcher. One reader. */
  readonly messages: AsyncIterable<Encodable>;
  /** The bundle's tasks. */
  readonly pool: Pool;
}

export interface TrustDomainOptions {
  /** Of the pool; the file is the bundle's. */
  readonly pool?: Omit<PoolOptions, "file">;
}

type Start = Extract<ToWorker, { type: "start" }>;

/** File descriptor of the link to the launcher. */
const linkDescriptor = 3;

/**
 * The last line of a bundle's entry. What `main` returns becomes `Worker.result`; what it throws
 * becomes the rejection, with class and code if it is one of Vivarium's errors.
 * @example trustDomain(async ({ config, signal }) => run(config, signal));
 */
export function trustDomain(
  main: (context: TrustDomain) => Promise<Encodable>,
  options: TrustDomainOptions = {},
): void {
  // Without a handler SIGUSR1 opens the inspector; had it come earlier, a debugger is in already.
  process.on("SIGUSR1", () => undefined);
  if (inspectorUrl() !== undefined) {
    process.stderr.write("A trust domain does not run under a debugger.\n");
    process.exit(1);
  }
  const stream = openDescriptor();
  new Child(stream, main, options).begin();
}

function openDescriptor(): Socket {
  try {
    if (!fstatSync(linkDescriptor).isSocket()) throw new Error("not a socket");
    return new Socket({ fd: linkDescriptor, readable: true, writable: true });
  } catch {
    process.stderr.write("This program is a trust domain: start it with launch().\n");
    process.exit(1);
  }
}

class Child {
  readonly #link: Link;
  readonly #stream: Socket;
  readonly #main: (context: TrustDomain) => Promise<Encodable>;
  readonly #options: TrustDomainOptions;
  readonly #drain = new AbortController();
  readonly #mailbox: Mailbox<Encodable> = createMailbox(launchLimits.maxHeldMessages);
  readonly #evidence = new Map<
    number,
    { resolve(evidence: Evidence): void; reject(error: Error): void }
  >();
  readonly #crypto = nodeCrypto();
  readonly #clock = systemClock();
  #nextId = 0;
  #delegation: Uint8Array = new Uint8Array(0);
  #started: ((start: Start) => void) | undefined;
  #finished = false;

  constructor(
    stream: Socket,
    main: (context: TrustDomain) => Promise<Encodable>,
    options: TrustDomainOptions,
  ) {
    this.#stream = stream;
    this.#main = main;
    this.#options = options;
    this.#link = openLink(stream, linkLimits, {
      message: (value) => this.#receive(readToWorker(value)),
      // The launcher is gone, or speaks another language: nobody may keep this process's keys alive.
      end: () => process.exit(this.#finished ? 0 : 1),
    });
  }

  begin(): void {
    for (const signal of ["SIGTERM", "SIGINT"] as const) {
      process.on(signal, () => this.#beginDrain());
    }
    process.on("exit", () => this.#lastWords());
    const fatal = (error: unknown) => void this.#finish(undefined, error);
    process.on("uncaughtException", fatal);
    process.on("unhandledRejection", fatal);
    this.#run().then(
      (value) => this.#finish({ value }),
      (error: unknown) => this.#finish(undefined, error),
    );
  }

  async #run(): Promise<Encodable> {
    const tls = await createTlsIdentity({ clock: this.#clock });
    const signer = await this.#crypto.generateSigner("ES256");
    const receiptSigner = await this.#crypto.generateSigner("ES256");
    const hpke = await generateRecipient("X25519");
    const keys = {
      tls: tls.spki,
      signing: signer.publicKey,
      hpke: hpke.publicKey,
      receipt: receiptSigner.publicKey,
    };
    const started = new Promise<Start>((resolve) => {
      this.#started = resolve;
    });
    this.#send({ type: "hello", ...keys });
    const start = await started;
    const policy = parsePolicy(start.policy);
    const statement = await this.#state(start, policy, keys);
    const file = start.tasks === null ? null : join(dirname(process.argv[1] ?? ""), start.tasks);
    const pool = lazyPool(file, {
      ...(start.threads === 0 ? {} : { threads: start.threads }),
      ...this.#options.pool,
    });
    this.#send({ type: "running" });
    try {
      return await this.#main({
        role: start.role,
        workload: start.workload,
        config: start.config,
        policy,
        statement,
        tls,
        signer,
        receiptSigner,
        hpke,
        delegation: () => this.#delegation,
        attester: { type: start.evidence, collect: (data, o) => this.#collect(data, o?.signal) },
        crypto: this.#crypto,
        clock: this.#clock,
        random: systemRandom(),
        log: this.#log(),
        signal: this.#drain.signal,
        emit: (value) => this.#send({ type: "event", value }),
        messages: this.#mailbox,
        pool,
      });
    } finally {
      await pool.close();
    }
  }

  /** Policy and config digests are of what this process goes by, not of what it was told. */
  async #state(start: Start, policy: Policy, keys: Statement["keys"]): Promise<Statement> {
    const statement: Statement = {
      runtime: start.runtime,
      flags: start.flags,
      code: start.code,
      policy: await policyDigest(this.#crypto, policy),
      config: await configDigest(this.#crypto, start.config),
      keys,
    };
    if (
      !equalBytes(statement.policy, start.policyDigest) ||
      !equalBytes(statement.config, start.configDigest)
    ) {
      throw new WorkersError("protocol", "The launcher measured another policy or configuration.");
    }
    return statement;
  }

  #send(message: FromWorker): void {
    this.#link.send(message as unknown as Encodable);
  }

  #receive(message: ToWorker): void {
    switch (message.type) {
      case "start": {
        const started = this.#started;
        if (started === undefined) throw new WorkersError("protocol", "A start was not expected.");
        this.#started = undefined;
        this.#delegation = message.delegation;
        started(message);
        return;
      }
      case "delegation":
        this.#delegation = message.delegation;
        return;
      case "evidence":
        this.#settle(message.id)?.resolve(decodeEvidence(message.evidence));
        return;
      case "no-evidence":
        this.#settle(message.id)?.reject(fromErrorRecord(message.error, [attestationErrorClass]));
        return;
      case "message":
        this.#mailbox.put(message.value);
        return;
      case "drain":
        this.#beginDrain();
        return;
    }
  }

  #settle(id: number) {
    const waiting = this.#evidence.get(id);
    this.#evidence.delete(id);
    return waiting;
  }

  async #collect(reportData: Uint8Array, signal: AbortSignal | undefined): Promise<Evidence> {
    throwIfAborted(signal);
    if (reportData.length !== 64) {
      throw new WorkersError("invalid-argument", "Report data is 64 bytes.");
    }
    const id = this.#nextId++;
    return new Promise<Evidence>((resolve, reject) => {
      const abort = () => {
        this.#evidence.delete(id);
        reject(new WorkersError("aborted", "The request for evidence was cancelled."));
      };
      signal?.addEventListener("abort", abort, { once: true });
      const done = () => signal?.removeEventListener("abort", abort);
      this.#evidence.set(id, {
        resolve: (evidence) => {
          done();
          resolve(evidence);
        },
        reject: (error) => {
          done();
          reject(error);
        },
      });
      this.#send({ type: "evidence", id, reportData });
    });
  }

  #log(): Log {
    return {
      event: (level, event, fields = {}) => this.#send({ type: "log", level, event, fields }),
    };
  }

  #beginDrain(): void {
    if (this.#drain.signal.aborted) return;
    this.#send({ type: "draining" });
    this.#mailbox.close();
    this.#drain.abort(new WorkersError("aborted", "The worker was asked to stop."));
  }

  async #finish(result: { value: Encodable } | undefined, error?: unknown): Promise<void> {
    if (this.#finished) return;
    this.#finished = true;
    try {
      if (result !== undefined) this.#send({ type: "result", value: result.value ?? null });
      else this.#sendFailure(error);
    } catch (cause) {
      // A result that cannot be encoded, or is over the limit.
      this.#sendFailure(cause);
    }
    await this.#link.flush();
    process.exit(result === undefined ? 1 : 0);
  }

  /** Written at once, for the event loop has stopped; not into the middle of another message. */
  #lastWords(): void {
    if (this.#stream.writableLength > 0) return;
    try {
      const body = encode({ type: "exiting" });
      writeSync(linkDescriptor, concat(u32(body.length), body));
    } catch {
      // The launcher is gone.
    }
  }

  #sendFailure(thrown: unknown): void {
    // A foreign error's message may quote the user's data; its class says enough.
    const kind = thrown instanceof Error ? thrown.name : typeof thrown;
    const { domain, code, message } = toErrorRecord(thrown, `The workload failed with ${kind}.`);
    const error = { domain, code, message: message.slice(0, launchLimits.maxErrorChars) };
    this.#send({ type: "failure", error });
  }
}
