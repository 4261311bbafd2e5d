/** A broker with its HTTP face, and instances that attest with simulated evidence. */
import { randomBytes } from "node:crypto";
import { request as httpsRequest } from "node:https";
import { type Attester, fingerprint } from "@vivarium/attestation";
import { simulatedAttester } from "@vivarium/attestation/simulated";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { createServiceCertificate } from "@vivarium/channel";
import { type ManualClock, manualClock, type Signer, systemRandom } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { kbsSource } from "@vivarium/workers/secrets";
import { onTestFinished } from "vitest";
import { decodeEntry, type Entry } from "../src/audit/entry.ts";
import { openAuditLog } from "../src/audit/log.ts";
import { noteKey } from "../src/audit/note.ts";
import { openLogReader } from "../src/audit/read.ts";
import { type Broker, openBroker } from "../src/broker.ts";
import { serveKbs } from "../src/kbs/server.ts";
import type { StateFile } from "../src/state-file.ts";
import { type MemoryStore, memoryLogStore } from "./memory-store.ts";

export const crypto = nodeCrypto();
export const verifiers = everyVerifier();
const logName = "test/broker";

export const measured = {
  code: new Uint8Array(32).fill(1),
  runtime: new Uint8Array(32).fill(2),
  flags: new Uint8Array(32).fill(3),
  policy: new Uint8Array(32).fill(4),
  config: new Uint8Array(32).fill(5),
};
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

export interface MemoryFile extends StateFile {
  held: { version: number; bytes: Uint8Array } | undefined;
  /** Writes that still succeed. */
  left: number;
}

export function memoryFile(): MemoryFile {
  const file: MemoryFile = {
    held: undefined,
    left: Number.POSITIVE_INFINITY,
    read: async () =>
      file.held === undefined ? undefined : { ...file.held, bytes: file.held.bytes.slice() },
    write: async (version, bytes) => {
      if (file.left-- <= 0) throw new Error("ENOSPC");
      file.held = { version, bytes: bytes.slice() };
    },
  };
  return file;
}

export interface Bench {
  readonly clock: ManualClock;
  readonly root: Signer;
  readonly log: MemoryStore;
  readonly file: MemoryFile;
  readonly signer: Signer;
}

/** What survives a restart of the broker. */
export async function bench(now = Date.now()): Promise<Bench> {
  return {
    clock: manualClock(now),
    root: await crypto.generateSigner("ES256"),
    log: memoryLogStore(),
    file: memoryFile(),
    signer: await crypto.generateSigner("EdDSA"),
  };
}

export async function start(on: Bench): Promise<Broker> {
  const log = await openAuditLog({
    store: on.log,
    name: logName,
    signer: on.signer,
    crypto,
    create: true,
  });
  const trust = { log: noteKey("log", logName, on.signer), witnesses: [], quorum: 0 };
  const reader = await openLogReader({ store: on.log, trust, crypto });
  return openBroker({ file: on.file, log, reader, verifiers, crypto, clock: on.clock });
}

export async function entries(on: Bench): Promise<readonly Entry[]> {
  const trust = { log: noteKey("log", logName, on.signer), witnesses: [], quorum: 0 };
  const reader = await openLogReader({ store: on.log, trust, crypto });
  await reader.verifyAll();
  const out: Entry[] = [];
  for await (const { entry } of reader.entries(0, reader.checkpoint.size)) {
    out.push(decodeEntry(entry));
  }
  return out;
}

/** Accepts our simulated instance, and says that it is one. */
export async function policyFor(on: Bench, change: object = {}): Promise<object> {
  return {
    identity: "any-instance",
    isolation: ["simulated"],
    accept: [
      {
        type: "simulated",
        isolation: "simulated",
        binding: "session",
        root: await fingerprint(crypto, on.root.publicKey),
        measurements: {
          code: [hex(measured.code)],
          runtime: [hex(measured.runtime)],
          flags: [hex(measured.flags)],
        },
        minimumSvn: {},
        tcb: ["UpToDate"],
        debug: false,
        maxAgeSeconds: 60,
        ...change,
      },
    ],
  };
}

export function attesterOf(on: Bench, change: Partial<typeof measured> = {}): Attester {
  const { root, clock } = on;
  return simulatedAttester({ root, crypto, clock, measured: { ...measured, ...change } });
}

export interface Face {
  readonly url: string;
  readonly pin: string;
  readonly port: number;
  /** Names of events, with the code where there is one. */
  readonly events: readonly string[];
  get(name: string, attester: Attester): Promise<Uint8Array>;
  ask(method: string, path: string, options?: AskOptions): Promise<Reply>;
}

export interface AskOptions {
  readonly body?: object | string | Uint8Array;
  readonly cookie?: string;
  readonly token?: string;
}

export interface Reply {
  readonly status: number;
  readonly cookie: string | undefined;
  readonly text: string;
  json(): Record<string, unknown>;
}

export async function face(on: Bench, broker: Broker): Promise<Face> {
  const tls = await createServiceCertificate({ clock: on.clock });
  const events: string[] = [];
  const server = await serveKbs({
    broker,
    host: "127.0.0.1",
    port: 0,
    tls,
    signer: await crypto.generateSigner("ES256"),
    verifiers,
    collateral: () => ({}),
    crypto,
    clock: on.clock,
    random: systemRandom(),
    log: {
      event: (_level, event, fields) => {
        const code = fields?.["code"];
        events.push(code === undefined ? event : `${event} ${String(code)}`);
      },
    },
  });
  onTestFinished(() => server.close());
  const { port } = server;
  const url = `https://127.0.0.1:${port}`;
  const pin = await fingerprint(crypto, tls.spki);
  return {
    url,
    pin,
    port,
    events,
    get: async (name, attester) => {
      const secret = await kbsSource({ url, pin, attester }).get(name);
      const bytes = secret.reveal().slice();
      secret.close();
      return bytes;
    },
    ask: (method, path, options = {}) =>
      new Promise((resolve, reject) => {
        const { body, cookie, token } = options;
        const bytes =
          body === undefined
            ? undefined
            : typeof body === "string" || body instanceof Uint8Array
              ? Buffer.from(body)
              : Buffer.from(JSON.stringify(body));
        const request = httpsRequest(
          {
            host: "127.0.0.1",
            port,
            method,
            path: `/kbs/v0${path}`,
            ca: tls.cert,
            checkServerIdentity: () => undefined,
            agent: false,
            headers: {
              ...(bytes === undefined ? {} : { "Content-Length": bytes.length }),
              ...(cookie === undefined ? {} : { Cookie: cookie }),
              ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
            },
          },
          (response) => {
            let text = "";
            response.setEncoding("utf8").on("data", (part: string) => {
              text += part;
            });
            response.on("end", () => {
              resolve({
                status: response.statusCode ?? 0,
                cookie: response.headers["set-cookie"]?.[0]?.split(";")[0],
                text,
                json: () => JSON.parse(text) as Record<string, unknown>,
              });
            });
          },
        );
        request.on("error", reject);
        request.end(bytes);
      }),
  };
}

export function secretOf(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(`${text}-${randomBytes(8).toString("hex")}`));
}
