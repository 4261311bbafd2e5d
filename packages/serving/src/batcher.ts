/**
 * Requests of one model as batches: of one size if that pays, within a longest delay; one queue a client,
 * served in turns, so that a busy one cannot starve the others.
 */
import { type Clock, throwIfAborted } from "@vivarium/core";
import type { Model } from "@vivarium/tensors";
import { ServingError } from "./errors.ts";
import { servingLimits } from "./limits.ts";
import { joinRows, requireInputs, splitRows, type Values } from "./values.ts";

export interface BatchingOptions {
  /** Most rows of one run; 1 switches batching off. */
  readonly maxRows: number;
  /** Milliseconds that the first request of a batch waits for others. */
  readonly maxDelayMs: number;
  /** Requests that may wait. */
  readonly queue: number;
}

export const defaultBatching: BatchingOptions = {
  maxRows: 1,
  maxDelayMs: 2,
  queue: servingLimits.queue,
};

export interface SubmitOptions {
  /** Whose turn it is taken in; default all share one. */
  readonly client?: string;
  /** Milliseconds since the epoch, by the clock given: later nobody waits for the answer. */
  readonly deadline?: number;
  readonly signal?: AbortSignal;
}

interface Waiting {
  readonly inputs: Values;
  readonly rows: number;
  readonly deadline: number;
  readonly resolve: (outputs: Values) => void;
  readonly reject: (error: unknown) => void;
  done: boolean;
}

export interface Batcher {
  /** @throws ServingError `invalid-argument`, `overloaded`, `deadline`, `failed`, `closed`, `aborted`. */
  submit(inputs: Values, options?: SubmitOptions): Promise<Values>;
  readonly waiting: number;
  readonly running: number;
  /** Runs of the model that succeeded, and the rows they answered. */
  readonly executions: number;
  readonly rows: number;
  /** Takes no more; resolves when all that was taken is answered. */
  close(): Promise<void>;
}

export function createBatcher(
  model: Model,
  clock: Clock,
  options: Partial<BatchingOptions> = {},
): Batcher {
  return new Queue(model, clock, { ...defaultBatching, ...options });
}

class Queue implements Batcher {
  readonly #model: Model;
  readonly #clock: Clock;
  readonly #options: BatchingOptions;
  /** By client, in the order of their turns. */
  readonly #clients = new Map<string, Waiting[]>();
  #waiting = 0;
  #running = 0;
  #executions = 0;
  #rows = 0;
  #timer: (() => void) | undefined;
  #closed = false;
  readonly #idle: (() => void)[] = [];

  constructor(model: Model, clock: Clock, options: BatchingOptions) {
    this.#model = model;
    this.#clock = clock;
    this.#options = options;
  }

  get waiting(): number {
    return this.#waiting;
  }

  get running(): number {
    return this.#running;
  }

  get executions(): number {
    return this.#executions;
  }

  get rows(): number {
    return this.#rows;
  }

  async submit(
    inputs: Values,
    { client = "", deadline, signal }: SubmitOptions = {},
  ): Promise<Values> {
    if (this.#closed) throw new ServingError("closed", "The model is being unloaded; ask again.");
    throwIfAborted(signal);
    const rows = requireInputs(this.#model.spec, inputs);
    if (this.#waiting >= this.#options.queue) {
      throw new ServingError(
        "overloaded",
        `${this.#waiting} requests wait for this model; come again in a second.`,
      );
    }
    return await new Promise<Values>((resolve, reject) => {
      const end = deadline ?? Number.POSITIVE_INFINITY;
      const item: Waiting = { inputs, rows, deadline: end, resolve, reject, done: false };
      signal?.addEventListener(
        "abort",
        () => this.#drop(client, item, new ServingError("aborted", "The request was cancelled.")),
        { once: true },
      );
      const own = this.#clients.get(client);
      if (own === undefined) this.#clients.set(client, [item]);
      else own.push(item);
      this.#waiting++;
      this.#schedule();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#schedule();
    if (this.#waiting === 0 && this.#running === 0) return;
    await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  /** A request that nobody waits for leaves the queue; one that is running is answered to nobody. */
  #drop(client: string, item: Waiting, error: ServingError): void {
    if (item.done) return;
    item.done = true;
    const own = this.#clients.get(client);
    const at = own?.indexOf(item) ?? -1;
    if (own !== undefined && at >= 0) {
      own.splice(at, 1);
      this.#waiting--;
      if (own.length === 0) this.#clients.delete(client);
    }
    item.reject(error);
  }

  #schedule(): void {
    // One run at a time: an engine that is given two at once answers both later.
    if (this.#running > 0 || this.#waiting === 0) return;
    const rows = this.#rowsWaiting();
    if (rows >= this.#options.maxRows || this.#options.maxDelayMs === 0 || this.#closed) {
      this.#timer?.();
      this.#timer = undefined;
      void this.#run();
    } else if (this.#timer === undefined) {
      this.#timer = this.#clock.after(this.#options.maxDelayMs, () => {
        this.#timer = undefined;
        void this.#run();
      });
    }
  }

  #rowsWaiting(): number {
    let rows = 0;
    for (const own of this.#clients.values()) for (const item of own) rows += item.rows;
    return rows;
  }

  /** Takes from each client in turn until the batch is full. */
  #take(): readonly Waiting[] {
    const batch: Waiting[] = [];
    let rows = 0;
    for (;;) {
      const [next] = this.#clients;
      if (next === undefined) return batch;
      const [client, own] = next;
      const item = own[0] as Waiting;
      if (batch.length > 0 && rows + item.rows > this.#options.maxRows) return batch;
      own.shift();
      this.#waiting--;
      // To the end of the line.
      this.#clients.delete(client);
      if (own.length > 0) this.#clients.set(client, own);
      if (this.#clock.now() > item.deadline) {
        item.done = true;
        item.reject(
          new ServingError("deadline", "The request's time was over before its turn came."),
        );
        continue;
      }
      batch.push(item);
      rows += item.rows;
      if (rows >= this.#options.maxRows) return batch;
    }
  }

  async #run(): Promise<void> {
    if (this.#running > 0) return;
    const batch = this.#take();
    if (batch.length > 0) {
      this.#running++;
      try {
        await this.#answer(batch);
      } finally {
        this.#running--;
      }
    }
    if (this.#waiting > 0) this.#schedule();
    else if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #answer(batch: readonly Waiting[]): Promise<void> {
    let answers: readonly Values[];
    try {
      const outputs = await this.#model.run(joinRows(batch.map(({ inputs }) => inputs)));
      answers = splitRows(
        outputs,
        batch.map(({ rows }) => rows),
      );
      this.#executions++;
      for (const { rows } of batch) this.#rows += rows;
    } catch (thrown) {
      // One bad row must not cost the others their answers: each alone, then.
      if (batch.length > 1) {
        for (const item of batch) await this.#answer([item]);
        return;
      }
      const [item] = batch;
      settle(item as Waiting, () => item?.reject(asFailure(thrown)));
      return;
    }
    for (const [i, item] of batch.entries()) {
      settle(item, () => item.resolve(answers[i] as Values));
    }
  }
}

function settle(item: Waiting, finish: () => void): void {
  if (item.done) return;
  item.done = true;
  finish();
}

function asFailure(thrown: unknown): ServingError {
  if (thrown instanceof ServingError) return thrown;
  const bad = (thrown as { readonly code?: unknown }).code === "invalid-argument";
  const message = bad ? (thrown as Error).message : "The model failed at this input.";
  return new ServingError(bad ? "invalid-argument" : "failed", message, { cause: thrown });
}

/**
 * The number of rows at which the model does most a second, doubling from 1: 1 where batching does not
 * pay by a tenth at least.
 * @param sample inputs of one row.
 */
export async function measureBatching(model: Model, sample: Values, most = 64): Promise<number> {
  let best = 1;
  let bestRate = 0;
  for (let rows = 1; rows <= most; rows *= 2) {
    const inputs = joinRows(Array.from({ length: rows }, () => sample));
    await model.run(inputs);
    const begin = performance.now();
    let done = 0;
    do {
      await model.run(inputs);
      done += rows;
    } while (performance.now() - begin < 30);
    const rate = done / (performance.now() - begin);
    if (rate > bestRate * 1.1) {
      best = rows;
      bestRate = rate;
    }
  }
  return best;
}
