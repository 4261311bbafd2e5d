/** What `broker init` does. */
import { fingerprint } from "@vivarium/attestation";
import { openKeyFile } from "@vivarium/attestation/collect";
import { directoryStore, encodeVkey, noteKey, openAuditLog } from "@vivarium/broker/audit";
import { createServiceCertificate } from "@vivarium/channel";
import { systemClock, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { originFile } from "../audit/options.ts";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { makePrivateDirectory, writeNew } from "../files.ts";
import { brokerPaths, type InitOptions } from "./options.ts";

export const init: Action<InitOptions> = async (context, { name }) => {
  const state = await context.state({ create: true });
  const crypto = nodeCrypto();
  const paths = brokerPaths(state);
  const store = directoryStore(paths.log);
  if ((await store.read(originFile)) !== undefined) {
    throw new CliError("exists", `There is a broker in ${state.path} already.`);
  }
  await makePrivateDirectory(state.broker, "broker directory");
  const signer = await openKeyFile(paths.auditKey, {
    kind: "audit-log",
    create: true,
    algorithm: "EdDSA",
  });
  const key = encodeVkey(noteKey("log", name, signer));
  const tls = await createServiceCertificate({ clock: systemClock() });
  await writeNew(paths.tlsKey, "TLS key", tls.key, 0o600);
  await writeNew(paths.cert, "certificate", tls.cert);
  {
    await using _log = await openAuditLog({ store, name, signer, crypto, create: true });
  }
  // Last: with it the broker is whole.
  await store.write(originFile, utf8(`${name}\n`));
  const pin = await fingerprint(crypto, tls.spki);
  context.print({ directory: state.broker, name, key, pin }, [
    `Made the broker ${name} in ${state.broker}.`,
    `Pin for its clients: ${pin}`,
    `Key of its audit log, for everybody who is to verify it: ${key}`,
  ]);
  return 0;
};
