/**
 * Messages between a process and its launcher, and their strict readers. Each side takes the other
 * for hostile: the child may be compromised, and in a TEE the launcher is the host.
 */
import { type EvidenceType, evidenceTypes } from "@vivarium/attestation";
import { type Encodable, type ErrorRecord, requireWithin } from "@vivarium/core";
import { WorkersError } from "./errors.ts";
import { launchLimits } from "./limits.ts";

interface Fields {
  readonly [key: string]: Encodable;
}

/** Launcher to process. */
export type ToWorker =
  | {
      readonly type: "start";
      readonly role: string;
      readonly workload: string;
      readonly config: Encodable;
      readonly policy: Encodable;
      /** Type of the evidence that the launcher gives. */
      readonly evidence: EvidenceType;
      readonly tasks: string | null;
      /** Threads of the pool; 0 for the machine's parallelism. */
      readonly threads: number;
      readonly runtime: Uint8Array;
      readonly flags: Uint8Array;
      readonly code: Uint8Array;
      readonly policyDigest: Uint8Array;
      readonly configDigest: Uint8Array;
      readonly delegation: Uint8Array;
    }
  | { readonly type: "delegation"; readonly delegation: Uint8Array }
  | { readonly type: "evidence"; readonly id: number; readonly evidence: Uint8Array }
  | { readonly type: "no-evidence"; readonly id: number; readonly error: ErrorRecord }
  | { readonly type: "message"; readonly value: Encodable }
  | { readonly type: "drain" };

/** Process to launcher. */
export type FromWorker =
  | {
      readonly type: "hello";
      readonly tls: Uint8Array;
      readonly signing: Uint8Array;
      readonly hpke: Uint8Array;
      readonly receipt: Uint8Array;
    }
  | { readonly type: "running" }
  | { readonly type: "draining" }
  /** The last words of a process that ends by itself; a killed one has none. */
  | { readonly type: "exiting" }
  | { readonly type: "evidence"; readonly id: number; readonly reportData: Uint8Array }
  | { readonly type: "event"; readonly value: Encodable }
  | {
      readonly type: "log";
      readonly level: "debug" | "info" | "warn" | "error";
      readonly event: string;
      readonly fields: Readonly<Record<string, string | number | boolean>>;
    }
  | { readonly type: "result"; readonly value: Encodable }
  | { readonly type: "failure"; readonly error: ErrorRecord };

/** @throws WorkersError `protocol` for anything but a message of a process. */
export function readFromWorker(value: Encodable): FromWorker {
  const m = record(value);
  switch (m["type"]) {
    case "hello":
      only(m, "tls", "signing", "hpke", "receipt");
      return {
        type: "hello",
        tls: bytes(m["tls"], 1, 1_024),
        signing: bytes(m["signing"], 1, 1_024),
        hpke: bytes(m["hpke"], 32, 32),
        receipt: bytes(m["receipt"], 1, 1_024),
      };
    case "running":
    case "draining":
    case "exiting":
      only(m);
      return { type: m["type"] };
    case "evidence":
      only(m, "id", "reportData");
      return { type: "evidence", id: id(m["id"]), reportData: bytes(m["reportData"], 64, 64) };
    case "event":
    case "result":
      only(m, "value");
      return { type: m["type"], value: m["value"] ?? null };
    case "log":
      only(m, "level", "event", "fields");
      return {
        type: "log",
        level: level(m["level"]),
        event: text(m["event"], 128),
        fields: logFields(m["fields"]),
      };
    case "failure":
      only(m, "error");
      return { type: "failure", error: errorRecord(m["error"]) };
    default:
      throw refuse("unknown type of message");
  }
}

/** @throws WorkersError `protocol` for anything but a message of a launcher. */
export function readToWorker(value: Encodable): ToWorker {
  const m = record(value);
  switch (m["type"]) {
    case "start":
      only(
        m,
        "role",
        "workload",
        "config",
        "policy",
        "evidence",
        "tasks",
        "threads",
        "runtime",
        "flags",
        "code",
        "policyDigest",
        "configDigest",
        "delegation",
      );
      return {
        type: "start",
        role: text(m["role"], 128),
        workload: text(m["workload"], 128),
        config: m["config"] ?? null,
        policy: m["policy"] ?? null,
        evidence: evidenceType(m["evidence"]),
        tasks: m["tasks"] === null ? null : text(m["tasks"], 128),
        threads: id(m["threads"]),
        runtime: bytes(m["runtime"], 32, 32),
        flags: bytes(m["flags"], 32, 32),
        code: bytes(m["code"], 32, 32),
        policyDigest: bytes(m["policyDigest"], 32, 32),
        configDigest: bytes(m["configDigest"], 32, 32),
        delegation: bytes(m["delegation"], 1, 16_384),
      };
    case "delegation":
      only(m, "delegation");
      return { type: "delegation", delegation: bytes(m["delegation"], 1, 16_384) };
    case "evidence":
      only(m, "id", "evidence");
      return { type: "evidence", id: id(m["id"]), evidence: bytes(m["evidence"], 1, 1_048_576) };
    case "no-evidence":
      only(m, "id", "error");
      return { type: "no-evidence", id: id(m["id"]), error: errorRecord(m["error"]) };
    case "message":
      only(m, "value");
      return { type: "message", value: m["value"] ?? null };
    case "drain":
      only(m);
      return { type: "drain" };
    default:
      throw refuse("unknown type of message");
  }
}

/** Text from the other side for a screen or a log: no control characters, no bidirectional tricks. */
export function printable(value: string, maxChars: number): string {
  const shown = value.length > maxChars ? `${value.slice(0, maxChars)}…` : value;
  return shown.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, "\ufffd");
}

function record(value: Encodable | undefined): Fields {
  if (
    typeof value !== "object" ||
    value === null ||
    Array.isArray(value) ||
    value instanceof Uint8Array
  ) {
    throw refuse("a map was expected");
  }
  return value as Fields;
}

function only(m: Fields, ...names: readonly string[]): void {
  const keys = Object.keys(m);
  if (keys.length !== names.length + 1 || !names.every((name) => Object.hasOwn(m, name))) {
    throw refuse("a message has missing or unknown fields");
  }
}

function bytes(value: Encodable | undefined, min: number, max: number): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length < min || value.length > max) {
    throw refuse(`${min} to ${max} bytes were expected`);
  }
  return value;
}

function evidenceType(value: Encodable | undefined): EvidenceType {
  const type = evidenceTypes.find((known) => known === value);
  if (type === undefined) throw refuse("a type of evidence was expected");
  return type;
}

function text(value: Encodable | undefined, max: number): string {
  if (typeof value !== "string") throw refuse("a string was expected");
  requireWithin("Characters of a string", value.length, max);
  return value;
}

function id(value: Encodable | undefined): number {
  if (typeof value !== "number" || !Number.isSafeInteger(value) || value < 0) {
    throw refuse("a message number was expected");
  }
  return value;
}

function level(value: Encodable | undefined): "debug" | "info" | "warn" | "error" {
  if (value === "debug" || value === "info" || value === "warn" || value === "error") return value;
  throw refuse("a log level was expected");
}

function logFields(value: Encodable | undefined): Record<string, string | number | boolean> {
  const entries = Object.entries(record(value));
  requireWithin("Fields of a log event", entries.length, launchLimits.maxLogFields);
  const out: Record<string, string | number | boolean> = {};
  for (const [key, item] of entries) {
    if (!/^[A-Za-z][A-Za-z0-9_.-]{0,63}$/.test(key)) throw refuse("a log field has no plain name");
    if (typeof item === "string") out[key] = printable(item, launchLimits.maxLineChars);
    else if (typeof item === "number" || typeof item === "boolean") out[key] = item;
    else throw refuse("a log field is not a string, number or boolean");
  }
  return out;
}

function errorRecord(value: Encodable | undefined): ErrorRecord {
  const m = record(value);
  const domain = m["domain"];
  const code = m["code"];
  const message = m["message"];
  if (Object.keys(m).length !== 3 || typeof message !== "string")
    throw refuse("an error was expected");
  if (typeof domain !== "string" || !/^[a-z][a-z0-9-]{0,63}$/.test(domain)) {
    throw refuse("an error has no domain");
  }
  if (typeof code !== "string" || !/^[a-z][a-z0-9-]{0,63}$/.test(code)) {
    throw refuse("an error has no code");
  }
  return { domain, code, message: printable(message, launchLimits.maxErrorChars) };
}

function refuse(reason: string): WorkersError {
  return new WorkersError(
    "protocol",
    `A message between worker and launcher is refused: ${reason}.`,
  );
}
