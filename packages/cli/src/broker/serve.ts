/** What `broker serve` does. */
import { setTimeout as sleep } from "node:timers/promises";
import { openKeyFile } from "@vivarium/attestation/collect";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { BrokerError, openBroker, sealedStateFile, serveAdmin } from "@vivarium/broker";
import {
  askWitness,
  decodeVkey,
  directoryStore,
  type LogReader,
  lockDirectory,
  type NoteKey,
  noteKey,
  openAuditLog,
  openLogReader,
} from "@vivarium/broker/audit";
import { serveKbs } from "@vivarium/broker/kbs";
import { fromUtf8, systemClock, systemRandom } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { originFile } from "../audit/options.ts";
import type { Action } from "../command.ts";
import { type Endpoint, parseEndpoint } from "../config/endpoint.ts";
import { CliError } from "../errors/error.ts";
import { readCollateralFiles } from "../evidence/input.ts";
import { openFileKey } from "../file/key.ts";
import { fileLimits, readBounded, readText } from "../files.ts";
import { createRunLog } from "../psi/log.ts";
import { programVersion } from "../version.ts";
import { brokerPaths, type ServeOptions } from "./options.ts";

/** How often a witness is asked to cosign what has been added. */
const witnessIntervalMs = 30_000;

export const serve: Action<ServeOptions> = async (context, options) => {
  const { io } = context;
  const listen = endpoint("--listen", options.listen);
  const metrics =
    options.metrics === undefined ? undefined : endpoint("--metrics", options.metrics);
  const state = await context.state({ create: false });
  const paths = brokerPaths(state);
  const [crypto, clock, verifiers] = [nodeCrypto(), systemClock(), everyVerifier()];
  const store = directoryStore(paths.log);
  const origin = await store.read(originFile);
  if (origin === undefined) {
    throw new CliError("not-found", `There is no broker in ${state.path}; run broker init.`);
  }
  const name = fromUtf8(origin).trim();
  const wrapper = await openFileKey(context.path(options.key));
  const collateral = await readCollateralFiles(
    (options.collateral ?? []).map((file) => context.path(file)),
  );
  const tls = {
    cert: await readText(paths.cert, "certificate", fileLimits.party),
    key: await readText(paths.tlsKey, "TLS key", fileLimits.party),
  };
  const signer = await openKeyFile(paths.auditKey, { kind: "audit-log", create: false });
  await using _lock = closing(await lockDirectory(paths.log));
  await using log = await openAuditLog({ store, name, signer, crypto, create: false });
  const trust = { log: noteKey("log", name, signer), witnesses: [], quorum: 0 };
  const reader = await openLogReader({ store, trust, crypto });
  await reader.verifyAll();
  if (options.checkpoint !== undefined) {
    const path = context.path(options.checkpoint);
    // Absent or behind, nothing is served: whoever can hide it could also have set us back.
    await reader.requireGrownFrom(await readBounded(path, "checkpoint", fileLimits.proof));
  }
  const ask = witnessOf(options);
  const current = (): Promise<LogReader> => openLogReader({ store, trust, crypto });
  // Before the broker writes its own entry: a log that was set back must not grow.
  if (ask !== undefined) await askWitness({ ...ask, log, reader: current, crypto });
  const file = sealedStateFile(paths.store, wrapper);
  const broker = await openBroker({
    file,
    log,
    reader: await current(),
    verifiers,
    crypto,
    clock,
  });
  const run = await createRunLog({
    metrics,
    io,
    verbose: context.verbose,
    version: await programVersion(),
    code: undefined,
  });
  await using _run = closing(() => run.close());
  await using _admin = await serveAdmin(broker, paths.socket);
  await using server = await serveKbs({
    ...listen,
    broker,
    tls,
    // Tokens live as long as their sessions, which are in memory.
    signer: await crypto.generateSigner("ES256"),
    verifiers,
    collateral: () => collateral,
    crypto,
    clock,
    random: systemRandom(),
    log: run.log,
  });
  run.ready();
  const resources = broker.list().length;
  context.print({ serving: true, name, port: server.port, resources, entries: log.size }, [
    `${name} serves ${resources} resources on ${listen.host}:${server.port}; its log has ${log.size} entries.`,
    ...(options.checkpoint === undefined && ask === undefined
      ? ["No --witness and no --checkpoint: store and log set back together would not be noticed."]
      : []),
  ]);
  while (!io.signal.aborted) {
    await sleep(witnessIntervalMs, undefined, { signal: io.signal }).catch(() => {});
    if (ask === undefined) continue;
    try {
      await askWitness({ ...ask, log, reader: current, crypto });
    } catch (error) {
      const code = error instanceof BrokerError ? error.code : "unavailable";
      run.log.event("error", "broker.failed", { code });
      // Away is no reason to stop; another history is.
      if (code !== "unavailable") throw error;
    }
  }
  context.note("Stopping: no new requests; those under way are finished.");
  return 0;
};

function witnessOf(
  options: ServeOptions,
): { readonly url: string; readonly key: NoteKey } | undefined {
  const { witness: url, witnessKey } = options;
  if (url === undefined && witnessKey === undefined) return undefined;
  if (url === undefined || witnessKey === undefined || !/^https?:\/\//.test(url)) {
    throw new CliError("usage", "A witness needs --witness http(s)://… and --witness-key.");
  }
  return { url, key: decodeVkey(witnessKey) };
}

function closing(close: () => Promise<void>): AsyncDisposable {
  return { [Symbol.asyncDispose]: close };
}

function endpoint(option: string, text: string): Endpoint {
  const found = parseEndpoint(text, true);
  if (typeof found === "string") throw new CliError("usage", `${option} ${found}.`);
  return found;
}
