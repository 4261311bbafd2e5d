/** Options of the `audit` commands, and the log that they name. */

import { openKeyFile } from "@vivarium/attestation/collect";
import {
  decodeVkey,
  directoryStore,
  type LogReader,
  type LogStore,
  noteKey,
  openLogReader,
  type Trust,
} from "@vivarium/broker/audit";
import { fromUtf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Context } from "../command.ts";
import { CliError } from "../errors/error.ts";
import type { State } from "../state.ts";

export interface LogOptions {
  readonly log?: string;
  readonly key?: string;
  readonly witness?: readonly string[];
  readonly quorum?: string;
}

export interface InitOptions {
  readonly name: string;
}
export type AppendOptions = object;
export interface ShowOptions extends LogOptions {
  readonly from?: string;
  readonly count?: string;
}
export interface ProveOptions extends LogOptions {
  readonly output: string;
}
export interface VerifyOptions extends LogOptions {
  readonly since?: string;
  readonly proof?: string;
}
export interface WatchOptions {
  readonly memory: string;
  readonly interval?: string;
  readonly once?: true;
}

export interface WitnessOptions {
  readonly name: string;
  readonly of: readonly string[];
  readonly listen: string;
}

/** Beside the log, so that the key's name is there before the first checkpoint is read. */
export const originFile = "origin";

/** Our own log. @throws CliError `not-found` without one. */
export async function ownLog(state: State): Promise<{
  readonly name: string;
  readonly signer: Awaited<ReturnType<typeof openKeyFile>>;
  readonly store: LogStore;
}> {
  const store = directoryStore(state.audit);
  const name = await store.read(originFile);
  if (name === undefined) {
    throw new CliError("not-found", `There is no audit log in ${state.path}.`);
  }
  const signer = await openKeyFile(state.auditKey, { kind: "audit-log", create: false });
  return { name: fromUtf8(name).trim(), signer, store };
}

export async function trustOf(context: Context, options: LogOptions): Promise<Trust> {
  const witnesses = (options.witness ?? []).map(decodeVkey);
  const quorum = options.quorum === undefined ? witnesses.length : Number(options.quorum);
  if (options.key !== undefined) return { log: decodeVkey(options.key), witnesses, quorum };
  if (options.log !== undefined) {
    // A key that came with the log proves nothing of it.
    throw new CliError("usage", "A log of somebody else's needs --key.");
  }
  const { name, signer } = await ownLog(await context.state({ create: false }));
  return { log: noteKey("log", name, signer), witnesses, quorum };
}

export async function readerOf(
  context: Context,
  options: LogOptions,
): Promise<{ readonly reader: LogReader; readonly trust: Trust }> {
  const trust = await trustOf(context, options);
  const directory =
    options.log === undefined
      ? (await context.state({ create: false })).audit
      : context.path(options.log);
  const store = directoryStore(directory);
  return { reader: await openLogReader({ store, trust, crypto: nodeCrypto() }), trust };
}
