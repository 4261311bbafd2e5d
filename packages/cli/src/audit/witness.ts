/** What `audit witness` does. */
import { openKeyFile } from "@vivarium/attestation/collect";
import {
  createWitness,
  decodeVkey,
  directoryStore,
  encodeVkey,
  lockDirectory,
  serveWitness,
} from "@vivarium/broker/audit";
import { systemClock } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action } from "../command.ts";
import { parseEndpoint } from "../config/endpoint.ts";
import { CliError } from "../errors/error.ts";
import type { WitnessOptions } from "./options.ts";

export const witness: Action<WitnessOptions> = async (context, options) => {
  const { io } = context;
  const listen = parseEndpoint(options.listen, true);
  if (typeof listen === "string") throw new CliError("usage", `--listen ${listen}.`);
  const logs = options.of.map(decodeVkey);
  const state = await context.state({ create: true });
  const signer = await openKeyFile(state.witnessKey, {
    kind: "witness",
    create: true,
    algorithm: "EdDSA",
  });
  // Two processes with one memory could cosign two histories.
  const unlock = await lockDirectory(state.witness);
  try {
    const cosigner = createWitness({
      store: directoryStore(state.witness),
      name: options.name,
      signer,
      logs,
      crypto: nodeCrypto(),
      clock: systemClock(),
    });
    await using server = await serveWitness({ witness: cosigner, ...listen });
    const key = encodeVkey(cosigner.key);
    context.print({ serving: true, port: server.port, key, logs: logs.map(({ name }) => name) }, [
      `${options.name} cosigns ${logs.map(({ name }) => name).join(", ")} on ${listen.host}:${server.port}.`,
      `Its key, for logs and their readers: ${key}`,
    ]);
    await new Promise<void>((resolve) => {
      if (io.signal.aborted) resolve();
      else io.signal.addEventListener("abort", () => resolve(), { once: true });
    });
  } finally {
    await unlock();
  }
  return 0;
};
