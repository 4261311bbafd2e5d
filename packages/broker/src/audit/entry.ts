/**
 * Entries as one line of JSON, so that an auditor reads them with anything: `{"v":1,"at":…,"event":…}`
 * and flat fields, keys sorted. Digests, ids and reasons; never a secret, nor what was sealed.
 */
import { fromUtf8, utf8 } from "@vivarium/core";
import { BrokerError } from "../errors.ts";
import { requireEntry } from "./tiles.ts";

/** The closed catalogue: a reader knows all that can have happened. */
export const auditEvents = [
  /** A receipt of a run, by its digest. */
  "receipt",
  /** A remark of the operator. */
  "remark",
  /** The broker has begun to serve. */
  "start",
  /** A resource was put, rotated, given another policy or revoked; or such a change was found done. */
  "change",
  /** A secret was released: to which key, under which evidence and policy. */
  "release",
  /** A release was refused: rule, expected, actual. */
  "refusal",
] as const;
export type AuditEvent = (typeof auditEvents)[number];

export type AuditField = string | number | boolean | readonly string[];

const fieldName = /^[a-z][A-Za-z0-9]{0,39}$/;

/** @param at milliseconds since the epoch. @throws BrokerError `invalid-argument` or `limit-exceeded`. */
export function encodeEntry(
  event: AuditEvent,
  at: number,
  fields: Readonly<Record<string, AuditField>>,
): Uint8Array {
  const names = Object.keys(fields);
  const bad = names.find((name) => !fieldName.test(name) || ["v", "at", "event"].includes(name));
  if (bad !== undefined || !auditEvents.includes(event) || !Number.isSafeInteger(at)) {
    throw new BrokerError("invalid-argument", `An entry cannot have the field ${bad ?? event}.`);
  }
  const all: Record<string, AuditField> = { ...fields, v: 1, at, event };
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => (a < b ? -1 : 1)));
  const bytes = utf8(JSON.stringify(sorted));
  requireEntry(bytes);
  return bytes;
}

export interface Entry {
  readonly at: number;
  readonly event: string;
  readonly fields: Readonly<Record<string, AuditField>>;
}

/** @throws BrokerError `malformed`: the log holds what it holds, whoever wrote it. */
export function decodeEntry(bytes: Uint8Array): Entry {
  let value: unknown;
  try {
    value = JSON.parse(fromUtf8(bytes));
  } catch (cause) {
    throw new BrokerError("malformed", "An entry of the log is not JSON.", { cause });
  }
  const isField = (field: unknown): field is AuditField =>
    ["string", "number", "boolean"].includes(typeof field) ||
    (Array.isArray(field) && field.every((item) => typeof item === "string"));
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new BrokerError("malformed", "An entry of the log is not an object.");
  }
  const { v, at, event, ...fields } = value as Readonly<Record<string, unknown>>;
  if (v !== 1 || typeof at !== "number" || typeof event !== "string") {
    throw new BrokerError("malformed", "An entry of the log lacks v, at or event.");
  }
  const entries = Object.entries(fields);
  if (!entries.every((entry): entry is [string, AuditField] => isField(entry[1]))) {
    throw new BrokerError("malformed", "An entry of the log has a field that is not flat.");
  }
  return { at, event, fields: Object.fromEntries(entries) };
}
