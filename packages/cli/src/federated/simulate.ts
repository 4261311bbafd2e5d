/** `federated simulate`: strategies on one's own data before there are parties, as a table. */
import {
  centralBaseline,
  type DataSplit,
  type FederatedPlan,
  simulate,
  strategyNames,
  strategyOf,
} from "@vivarium/federated";
import type { Action, Json } from "../command.ts";
import { loadPlan } from "../config/federated.ts";
import { CliError } from "../errors/error.ts";
import { readText } from "../files.ts";

export interface SimulateOptions {
  readonly plan: string;
  readonly data: string;
  readonly participants: string;
  readonly split: string;
  readonly testShare: string;
  readonly strategies?: string;
}

const maxDataBytes = 1024 * 1024 * 1024;
const percent = (value: number): string => `${(100 * value).toFixed(2)} %`;

export const simulateAction: Action<SimulateOptions> = async (context, options) => {
  const participants = Number(options.participants);
  if (!Number.isSafeInteger(participants) || participants < 1 || participants > 100_000) {
    throw new CliError("usage", "--participants must be a whole number from 1 to 100000.");
  }
  const testShare = Number(options.testShare);
  if (!(testShare > 0 && testShare < 1))
    throw new CliError("usage", "--test-share must be over 0 and under 1.");
  const split = splitOf(options.split);
  const plan = await loadPlan(context.path(options.plan));
  if (plan.sampleSize > participants) {
    throw new CliError(
      "usage",
      `The plan draws ${plan.sampleSize} participants of ${participants}.`,
    );
  }
  const plans = plansOf(plan, options.strategies, participants);
  const data = await readText(context.path(options.data), "data file", maxDataBytes);
  context.note("A simulation: nothing is attested, and nothing is protected.");
  const common = { data, testShare, signal: context.io.signal };
  const central = await centralBaseline({ ...common, plan });
  const results: {
    readonly strategy: string;
    readonly accuracy: number;
    readonly loss: number;
    readonly rounds: Json;
  }[] = [];
  let sizes: readonly number[] = [];
  for (const each of plans) {
    const { name } = each.strategy;
    const result = await simulate({
      ...common,
      ...{ plan: each, participants, split },
      onRound: ({ round, accuracy }) =>
        context.note(`${name}, round ${round}: ${percent(accuracy)}`),
    });
    ({ sizes } = result);
    const last = result.history.at(-1);
    results.push({
      strategy: name,
      accuracy: last?.accuracy ?? 0,
      loss: last?.loss ?? 0,
      rounds: result.history.map(({ round, accuracy, loss }) => ({ round, accuracy, loss })),
    });
  }
  const width = Math.max(...results.map(({ strategy }) => strategy.length), "centralised".length);
  context.print(
    { participants, split: options.split, centralised: { ...central }, results, sizes: [...sizes] },
    [
      `${participants} participants with ${Math.min(...sizes)} to ${Math.max(...sizes)} examples, split ${options.split}, ${plan.rounds} rounds:`,
      `  ${"centralised".padEnd(width)}  accuracy ${percent(central.accuracy)}  loss ${central.loss.toFixed(4)}`,
      ...results.map(
        ({ strategy, accuracy, loss }) =>
          `  ${strategy.padEnd(width)}  accuracy ${percent(accuracy)}  loss ${loss.toFixed(4)}`,
      ),
    ],
  );
  return 0;
};

function splitOf(text: string): DataSplit {
  const [kind, written] = text.split(":");
  const number = Number(written);
  if (kind === "iid" && written === undefined) return { kind };
  if (kind === "shards" && Number.isSafeInteger(number) && number > 0)
    return { kind, each: number };
  if (kind === "dirichlet" && number > 0) return { kind, alpha: number };
  throw new CliError("usage", "--split must be iid, shards:N or dirichlet:ALPHA.");
}

/** The plan's own strategy, or each of those named with its defaults. */
function plansOf(
  plan: FederatedPlan,
  names: string | undefined,
  participants: number,
): readonly FederatedPlan[] {
  if (names === undefined) return [plan];
  return names.split(",").map((name) => {
    if (!strategyNames.includes(name)) {
      throw new CliError(
        "usage",
        `--strategies has ${JSON.stringify(name)}; there are ${strategyNames.join(", ")}.`,
      );
    }
    if (name === plan.strategy.name) return plan;
    const settings = defaultSettings(name, participants);
    const each = { ...plan, strategy: { name, settings, clipNorm: plan.strategy.clipNorm } };
    const { minimumUpdates } = strategyOf(each);
    if (minimumUpdates > plan.sampleSize) {
      throw new CliError(
        "usage",
        `${name} needs ${minimumUpdates} updates; the plan draws ${plan.sampleSize}.`,
      );
    }
    return each;
  });
}

function defaultSettings(name: string, participants: number): Readonly<Record<string, number>> {
  if (name === "scaffold") return { population: participants };
  if (name === "krum" || name === "bulyan") return { byzantine: 1 };
  if (name === "multikrum") return { byzantine: 1, keep: 2 };
  return {};
}
