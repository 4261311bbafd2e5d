/** What `audit init` and `audit append` do. */
import { openKeyFile } from "@vivarium/attestation/collect";
import {
  type AuditLog,
  directoryStore,
  encodeEntry,
  encodeVkey,
  lockDirectory,
  noteKey,
  openAuditLog,
} from "@vivarium/broker/audit";
import { toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { verifyReceipt } from "@vivarium/seal";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { fileLimits, readBounded } from "../files.ts";
import { type AppendOptions, type InitOptions, originFile, ownLog } from "./options.ts";

export const init: Action<InitOptions> = async (context, { name }) => {
  const state = await context.state({ create: true });
  const crypto = nodeCrypto();
  const store = directoryStore(state.audit);
  if ((await store.read(originFile)) !== undefined) {
    throw new CliError("exists", `There is an audit log in ${state.path} already.`);
  }
  const signer = await openKeyFile(state.auditKey, {
    kind: "audit-log",
    create: true,
    algorithm: "EdDSA",
  });
  const key = noteKey("log", name, signer);
  const unlock = await lockDirectory(state.audit);
  try {
    await using _log: AuditLog = await openAuditLog({ store, name, signer, crypto, create: true });
    await store.write(originFile, utf8(`${name}\n`));
  } finally {
    await unlock();
  }
  const vkey = encodeVkey(key);
  context.print({ log: state.audit, name, key: vkey }, [
    `Started the audit log ${name} in ${state.audit}.`,
    `Its key, for everybody who is to verify it: ${vkey}`,
  ]);
  return 0;
};

export const append: Action<AppendOptions> = async (context, _options, file = "") => {
  const bytes = await readBounded(context.path(file), "receipt", fileLimits.receipt);
  const crypto = nodeCrypto();
  const receipt = await verifyReceipt(bytes, { crypto, identities: "any" });
  const state = await context.state({ create: false });
  const { name, signer, store } = await ownLog(state);
  const digest = toHex(await crypto.digest("SHA-256", bytes));
  const entry = encodeEntry("receipt", context.io.now(), {
    kind: receipt.kind,
    sha256: digest,
    issuer: receipt.issuer.identity,
    issuedAt: receipt.issuedAt,
    simulated: receipt.parties.some(({ isolation }) => isolation === "simulated"),
  });
  const unlock = await lockDirectory(state.audit);
  try {
    await using log = await openAuditLog({ store, name, signer, crypto, create: false });
    const { index } = await log.append(entry);
    context.print({ index, size: log.size, sha256: digest, issuer: receipt.issuer.identity }, [
      `Entry ${index}: receipt ${receipt.kind}, sha256 ${digest}, of ${receipt.issuer.identity}.`,
    ]);
  } finally {
    await unlock();
  }
  return 0;
};
