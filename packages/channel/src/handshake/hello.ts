/** Hello: what each side says before anything is proven. Canonical, and hashed as it was sent. */
import {
  decodeStatement,
  type EvidenceType,
  encodeStatement,
  evidenceTypes,
  type Statement,
} from "@vivarium/attestation";
import { decode, type Encodable, encode, equalBytes } from "@vivarium/core";
import { ChannelError } from "../errors.ts";
import type { ChannelMode } from "./binding.ts";

export const protocolVersion = 1;
export const nonceBytes = 32;
const maxRoleLength = 64;

export interface Hello {
  readonly version: number;
  readonly mode: ChannelMode;
  /** Role in the workload. */
  readonly role: string;
  readonly nonce: Uint8Array;
  /** Milliseconds since the epoch by the sender's clock. */
  readonly clock: number;
  /** Evidence the sender's policy can accept. Empty if it verifies nobody. */
  readonly accepts: readonly EvidenceType[];
  /** Undefined for the client that is not attested. */
  readonly statement: Statement | undefined;
}

/** A Hello as it was received. */
export interface ReceivedHello extends Hello {
  /** The statement's own bytes; its encoding is deterministic, so there are no others. */
  readonly statementBytes: Uint8Array | undefined;
}

/** @param statement the statement's bytes, where they are at hand. */
export function encodeHello(
  hello: Hello,
  statement: Uint8Array | undefined = hello.statement && encodeStatement(hello.statement),
): Uint8Array {
  return encode([
    hello.version,
    hello.mode,
    hello.role,
    hello.nonce,
    hello.clock,
    hello.accepts,
    statement ?? null,
  ]);
}

const limits = {
  maxBytes: 64 * 1024,
  maxDepth: 2,
  maxArrayLength: 32,
  maxMapLength: 0,
  maxStringBytes: 256,
  maxBinaryBytes: 64 * 1024,
  maxValues: 64,
};

/** @throws ChannelError `protocol`; CoreError or AttestationError for malformed parts. */
export function decodeHello(bytes: Uint8Array): ReceivedHello {
  const fields = decode(bytes, limits);
  if (!Array.isArray(fields) || fields.length !== 7) throw malformed("seven fields");
  const [version, mode, role, nonce, clock, accepts, statement] = fields as readonly Encodable[];
  // First of all: of another version nothing else is known.
  if (version !== protocolVersion) throw malformed(`protocol version ${protocolVersion}`);
  if (mode !== "mutual" && mode !== "client-verifies-server") throw malformed("a known mode");
  if (typeof role !== "string" || role.length === 0 || role.length > maxRoleLength) {
    throw malformed("a role");
  }
  if (!(nonce instanceof Uint8Array) || nonce.length !== nonceBytes) throw malformed("a nonce");
  if (typeof clock !== "number" || !Number.isSafeInteger(clock)) throw malformed("a clock");
  if (!Array.isArray(accepts)) throw malformed("evidence types");
  const types = accepts.map((name: Encodable) => {
    const type = evidenceTypes.find((known) => known === name);
    if (type === undefined) throw malformed("known evidence types");
    return type;
  });
  if (statement !== null && !(statement instanceof Uint8Array)) throw malformed("a statement");
  const statementBytes = statement ?? undefined;
  const hello: ReceivedHello = {
    version,
    mode,
    role,
    nonce,
    clock,
    accepts: types,
    statement: statementBytes && decodeStatement(statementBytes),
    statementBytes,
  };
  // One Hello, one encoding: what was parsed is exactly what is hashed.
  if (!equalBytes(encodeHello(hello, statementBytes), bytes))
    throw malformed("the canonical encoding");
  return hello;
}

function malformed(expected: string): ChannelError {
  return new ChannelError("protocol", `The peer's Hello does not have ${expected}.`);
}
