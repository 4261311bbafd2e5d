/** `serving predict`: verifies the server, asks, and shows the answer. */
import { type Collateral, createAppraiser, type Policy } from "@vivarium/attestation";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import {
  type Channel,
  connectTls,
  createEndpoint,
  createSessionRegistry,
  createTlsIdentity,
} from "@vivarium/channel";
import { silentLog, systemClock, systemRandom, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { predict, type Values } from "@vivarium/serving";
import { decodeNpy, type Value } from "@vivarium/tensors";
import type { Action, Json } from "../command.ts";
import { parseEndpoint } from "../config/endpoint.ts";
import { CliError } from "../errors/error.ts";
import { readCollateralFiles } from "../evidence/input.ts";
import { readBounded, writeNew } from "../files.ts";
import { loadPolicy } from "../policy/load.ts";

export interface PredictOptions {
  readonly server: string;
  readonly policy: string;
  readonly collateral?: readonly string[];
  readonly text?: readonly string[];
  readonly npy?: string;
  readonly modelVersion?: string;
  readonly digest?: string;
  readonly receipt?: string;
}

const maxNpyBytes = 64 * 1024 * 1024;

export const predictAction: Action<PredictOptions> = async (context, options, model = "") => {
  const at = parseEndpoint(options.server, false);
  if (typeof at === "string") throw new CliError("usage", `--server ${at}.`);
  if (options.digest !== undefined && !/^[0-9a-f]{64}$/.test(options.digest)) {
    throw new CliError("usage", "--digest must be 64 lower-case hexadecimal digits.");
  }
  const version = options.modelVersion === undefined ? undefined : Number(options.modelVersion);
  if (version !== undefined && !(Number.isSafeInteger(version) && version > 0)) {
    throw new CliError("usage", "--model-version must be a whole number from 1 on.");
  }
  const inputs = await inputsOf(options, context.path);
  const policy = await loadPolicy(context.path(options.policy));
  const collateral = await readCollateralFiles((options.collateral ?? []).map(context.path));
  const receiptFile = options.receipt === undefined ? undefined : context.path(options.receipt);
  await using channel = await openChannel(at, policy, collateral, context.io.signal);
  const answer = await predict(channel, {
    ...{ model, inputs, receipt: receiptFile !== undefined, signal: context.io.signal },
    ...(version === undefined ? {} : { version }),
    ...(options.digest === undefined ? {} : { digest: options.digest }),
  });
  if (receiptFile !== undefined) {
    if (answer.receipt === undefined) throw new CliError("internal", "The server gave no receipt.");
    const { bytes, inputSalt, outputSalt } = answer.receipt;
    await writeNew(receiptFile, "receipt", bytes);
    const opening = {
      input: { digest: toHex(answer.inputDigest), salt: toHex(inputSalt) },
      output: { digest: toHex(answer.outputDigest), salt: toHex(outputSalt) },
    };
    await writeNew(
      `${receiptFile}.opening.json`,
      "opening of the receipt",
      `${JSON.stringify(opening)}\n`,
      0o600,
    );
  }
  const simulated = "tee" in channel.peer && channel.peer.tee === "simulated";
  const outputs = Object.fromEntries(
    [...answer.outputs].map(([name, value]) => [name, listOf(value)]),
  );
  context.print({ ...answer.model, simulated, outputs }, [
    `The server is verified${simulated ? " (SIMULATED evidence: no hardware vouches for it)" : ""}; model ${answer.model.name} version ${answer.model.version}, ${answer.model.digest}`,
    ...Object.entries(outputs).map(([name, value]) => `${name}: ${JSON.stringify(value)}`),
  ]);
  return 0;
};

/** A client that proves nothing and verifies the server by its policy. */
export async function openChannel(
  at: { readonly host: string; readonly port: number },
  policy: Policy,
  collateral: Collateral,
  signal: AbortSignal,
): Promise<Channel> {
  const [crypto, clock, random] = [nodeCrypto(), systemClock(), systemRandom()];
  const key = await createTlsIdentity({ clock });
  const endpoint = createEndpoint({
    ...{ mode: "client-verifies-server", side: "client", role: "client", peerRole: "server" },
    ...{ workload: "serving", crypto, clock, random, log: silentLog, policy, collateral },
    appraiser: createAppraiser({ verifiers: everyVerifier(), crypto, clock }),
    sessions: createSessionRegistry({ clock }),
  });
  return await endpoint.open(await connectTls({ ...at, key, signal }), { signal });
}

async function inputsOf(
  options: PredictOptions,
  path: (written: string) => string,
): Promise<Values> {
  const { text, npy } = options;
  if ((text === undefined) === (npy === undefined)) {
    throw new CliError("usage", "Give either --text or --npy.");
  }
  if (text !== undefined) {
    return new Map<string, Value>([
      ["text", { dtype: "text", shape: [text.length], values: text }],
    ]);
  }
  const bytes = await readBounded(path(npy as string), "NPY file", maxNpyBytes);
  return new Map<string, Value>([["numbers", decodeNpy(bytes)]]);
}

function listOf(value: Value): Json {
  if (value.dtype === "text") return value.values;
  const bytes = value.data.slice().buffer;
  switch (value.dtype) {
    case "float32":
      return [...new Float32Array(bytes)].map((number) => Number(number.toPrecision(6)));
    case "int64":
      return [...new BigInt64Array(bytes)].map(Number);
    default:
      return toHex(value.data);
  }
}
