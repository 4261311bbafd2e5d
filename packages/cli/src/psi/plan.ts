/** `psi plan`: what a run will take, from two sizes and a short calibration of this machine. */
import { availableParallelism } from "node:os";
import { calibratePsi, type PsiConfig, planPsi } from "@vivarium/psi";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { duration } from "../progress.ts";

export interface PlanOptions {
  readonly receiver: string;
  readonly sender: string;
  readonly protocol: string;
  readonly mode: string;
  readonly cores?: string;
  readonly labelBytes: string;
}

const most = 100_000_000;

export const plan: Action<PlanOptions> = async (context, options) => {
  const sizes = {
    receiver: whole("--receiver", options.receiver, 0, most),
    sender: whole("--sender", options.sender, 0, most),
  };
  const cores =
    options.cores === undefined ? availableParallelism() : whole("--cores", options.cores, 1, 1024);
  const config = configOf(options);
  context.note("Measuring this machine for about two seconds.");
  const calibration = await calibratePsi();
  const predicted = planPsi(config, sizes, calibration, cores);
  const { seconds, cpuSeconds, bytes, memoryBytes } = predicted;
  const mega = (value: number): string => `${Math.ceil(value / 1e6).toLocaleString("en-US")} MB`;
  context.print(
    {
      engine: calibration.engine,
      cores,
      seconds,
      cpuSeconds: { ...cpuSeconds },
      bytes: { ...bytes },
      memoryBytes: { ...memoryBytes },
      calibration: { ...calibration },
    },
    [
      `${duration(1000 * seconds)} with ${cores} ${cores === 1 ? "core" : "cores"} like this one's on each side (engine: ${calibration.engine}), and the time to read the tables and to move the bytes.`,
      `CPU time: receiver ${duration(1000 * cpuSeconds.receiver)}, sender ${duration(1000 * cpuSeconds.sender)}.`,
      `Bytes: ${mega(bytes.toSender)} to the sender, ${mega(bytes.toReceiver)} to the receiver.`,
      `Memory, about: receiver ${mega(memoryBytes.receiver)}, sender ${mega(memoryBytes.sender)}.`,
    ],
  );
  return 0;
};

function configOf({ protocol, mode, labelBytes }: PlanOptions): PsiConfig {
  if (protocol !== "ecdh" && protocol !== "attested") {
    throw new CliError("usage", "--protocol must be ecdh or attested.");
  }
  const common = {
    protocol,
    resultTo: "receiver",
    keys: { encoding: "plan", columns: [{ name: "item", normalise: [] }] },
    maxItems: most,
    minItems: 0,
  } as const;
  if (mode === "intersection" || mode === "cardinality") return { ...common, mode };
  if (protocol === "attested") {
    throw new CliError("usage", `--mode ${mode} needs --protocol ecdh.`);
  }
  if (mode === "sum") return { ...common, mode, sum: { column: "n", decimals: 0, minMatches: 1 } };
  if (mode !== "labels") {
    throw new CliError("usage", "--mode must be intersection, cardinality, labels or sum.");
  }
  const maxBytes = whole("--label-bytes", labelBytes, 1, 4_096);
  return { ...common, mode, labels: { columns: ["label"], maxBytes } };
}

function whole(option: string, text: string, least: number, greatest: number): number {
  const value = /^\d{1,12}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= least && value <= greatest)) {
    throw new CliError("usage", `${option} must be a whole number from ${least} to ${greatest}.`);
  }
  return value;
}
