/**
 * Data of one place dealt out to parties, to try federated learning before there are parties. Rows are numbered; every
 * function gives each row to exactly one party, and the same to the same for the same seed.
 */
import { createDraws, type Draws } from "./draws.ts";
import { TensorsError } from "./errors.ts";

/** Row numbers of each party. */
export type Parts = readonly Uint32Array[];

const maxRows = 2 ** 32 - 1;
const maxParties = 1_000_000;
/** Draws of a Dirichlet partition until all parties have enough rows. */
const maxTries = 100;

/** Shuffled and cut into parts whose sizes differ by at most one. @throws TensorsError `invalid-argument`. */
export function partitionIid(rows: number, parties: number, seed: number): Parts {
  check(rows, parties, seed);
  const order = numbered(rows);
  createDraws(seed).shuffle(order);
  return cut(order, parties);
}

/**
 * Sorted by label, cut into `parties × each` shards, which are dealt out at random.
 * Source: McMahan et al., "Communication-efficient learning of deep networks from decentralized data", 2017, section 3.
 * @throws TensorsError `invalid-argument`.
 */
export function partitionShards(
  labels: ArrayLike<number>,
  parties: number,
  each: number,
  seed: number,
): Parts {
  check(labels.length, parties, seed);
  if (!Number.isSafeInteger(each) || each < 1 || parties * each > labels.length) {
    invalid(`${labels.length} rows cannot be cut into ${parties} × ${each} shards`);
  }
  const draws = createDraws(seed);
  const sorted = [...classesOf(labels, draws).values()];
  const shards = cut(joined(sorted), parties * each);
  const order = numbered(shards.length);
  draws.shuffle(order);
  return cut(order, parties).map((hand) => joined([...hand].map((i) => shards[i] as Uint32Array)));
}

export interface DirichletOptions {
  readonly parties: number;
  /** 0.1 is very uneven, 1 uneven, 100 nearly even. */
  readonly alpha: number;
  readonly seed: number;
  /** Rows that every party must get: 1 unless given. */
  readonly leastRows?: number;
}

/**
 * The rows of each label dealt out in proportions from a Dirichlet distribution; drawn again while a party has too few.
 * Source: Hsu, Qi and Brown, "Measuring the effects of non-identical data distribution", 2019; drawing again as in
 * Li et al., "Federated learning on non-IID data silos", 2022.
 * @throws TensorsError `invalid-argument`, also where no draw gave every party enough.
 */
export function partitionDirichlet(labels: ArrayLike<number>, options: DirichletOptions): Parts {
  const { parties, alpha, seed, leastRows = 1 } = options;
  check(labels.length, parties, seed);
  if (!(alpha > 0 && alpha <= 1e6)) invalid(`alpha ${alpha} is not above 0 and up to 1,000,000`);
  if (!Number.isSafeInteger(leastRows) || leastRows < 0 || leastRows * parties > labels.length) {
    invalid(`${labels.length} rows are too few for ${parties} parties of ${leastRows}`);
  }
  const draws = createDraws(seed);
  for (let attempt = 0; attempt < maxTries; attempt++) {
    const parts = dealt(classesOf(labels, draws), parties, alpha, draws);
    if (parts.every(({ length }) => length >= leastRows)) return parts;
  }
  return invalid(
    `no draw of ${maxTries} gave every party ${leastRows} rows; take a larger alpha or fewer parties`,
  );
}

function dealt(
  classes: ReadonlyMap<number, Uint32Array>,
  parties: number,
  alpha: number,
  draws: Draws,
): Parts {
  const hands = Array.from({ length: parties }, (): Uint32Array[] => []);
  for (const rows of classes.values()) {
    const weights = Float64Array.from({ length: parties }, () => draws.gamma(alpha));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    let sum = 0;
    let begin = 0;
    for (const [party, weight] of weights.entries()) {
      sum += weight;
      // All weights of a tiny alpha may underflow to zero; the last party then takes the rows.
      const share = total > 0 ? sum / total : 0;
      const end = party === parties - 1 ? rows.length : Math.round(share * rows.length);
      hands[party]?.push(rows.subarray(begin, end));
      begin = end;
    }
  }
  return hands.map(joined);
}

/** One party a key, such as the sender of a mail or the writer of a digit; in the order of the keys' first rows. */
export function partitionNatural(keys: readonly string[]): ReadonlyMap<string, Uint32Array> {
  check(keys.length, 1, 0);
  const rows = new Map<string, number[]>();
  for (const [i, key] of keys.entries()) {
    const own = rows.get(key);
    if (own === undefined) rows.set(key, [i]);
    else own.push(i);
  }
  return new Map([...rows].map(([key, own]) => [key, Uint32Array.from(own)]));
}

export interface Split {
  readonly train: Uint32Array;
  readonly test: Uint32Array;
}

/**
 * Rows to train and rows to test with, shuffled. With `labels`, each label's rows are split in the same proportion.
 * @param testShare from 0 to 1, of each label rounded to whole rows. @throws TensorsError `invalid-argument`.
 */
export function splitRows(
  rows: number,
  testShare: number,
  seed: number,
  labels?: ArrayLike<number>,
): Split {
  check(rows, 1, seed);
  if (!(testShare >= 0 && testShare <= 1)) invalid(`the share ${testShare} is not from 0 to 1`);
  if (labels !== undefined && labels.length !== rows) {
    invalid(`there are ${labels.length} labels for ${rows} rows`);
  }
  const draws = createDraws(seed);
  const groups = [...classesOf(labels ?? new Uint8Array(rows), draws).values()];
  const tests = groups.map((group) => Math.round(testShare * group.length));
  const test = joined(groups.map((group, i) => group.subarray(0, tests[i])));
  const train = joined(groups.map((group, i) => group.subarray(tests[i])));
  draws.shuffle(test);
  draws.shuffle(train);
  return { train, test };
}

/** Shuffled rows of each label, in the order of labels. */
function classesOf(labels: ArrayLike<number>, draws: Draws): Map<number, Uint32Array> {
  const counts = new Map<number, number>();
  for (let i = 0; i < labels.length; i++) {
    const label = labels[i] as number;
    if (!Number.isSafeInteger(label)) invalid(`the label of row ${i} is no whole number`);
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const classes = new Map(
    [...counts].sort(([a], [b]) => a - b).map(([label, n]) => [label, new Uint32Array(n)]),
  );
  for (let i = labels.length - 1; i >= 0; i--) {
    const label = labels[i] as number;
    const left = (counts.get(label) as number) - 1;
    counts.set(label, left);
    (classes.get(label) as Uint32Array)[left] = i;
  }
  for (const rows of classes.values()) draws.shuffle(rows);
  return classes;
}

function cut(order: Uint32Array, parts: number): Uint32Array[] {
  return Array.from({ length: parts }, (_, i) =>
    order.slice(
      Math.floor((i * order.length) / parts),
      Math.floor(((i + 1) * order.length) / parts),
    ),
  );
}

function joined(parts: readonly Uint32Array[]): Uint32Array {
  const out = new Uint32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

function numbered(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => i);
}

function check(rows: number, parties: number, seed: number): void {
  if (!Number.isSafeInteger(rows) || rows < 0 || rows > maxRows) invalid(`there are ${rows} rows`);
  if (!Number.isSafeInteger(parties) || parties < 1 || parties > maxParties) {
    invalid(`there are ${parties} parties`);
  }
  if (!Number.isSafeInteger(seed) || seed < 0 || seed > 0xffff_ffff) {
    invalid(`the seed ${seed} is no whole number under 2^32`);
  }
}

function invalid(what: string): never {
  throw new TensorsError("invalid-argument", `Rows cannot be dealt out: ${what}.`);
}
