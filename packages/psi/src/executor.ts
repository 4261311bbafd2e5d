/** Where batches are worked on: here, or in a pool of threads. */
import type { KeyObject } from "node:crypto";
import { type Curve25519Engine, type ScalarKey, selectEngine } from "@vivarium/curve25519";
import { psiTasks } from "./tasks.ts";

/** Batches in, batches out, in any order and several at once. */
export interface Executor {
  /** Batches that are worth having in flight. */
  readonly parallelism: number;
  /** Items to points. */
  hash(items: Uint8Array, offsets: Uint32Array, session: Uint8Array): Promise<Uint8Array>;
  /** Items to keyed hashes of `width` bytes. */
  keyed(
    key: KeyObject,
    items: Uint8Array,
    offsets: Uint32Array,
    width: number,
  ): Promise<Uint8Array>;
  /** Payloads of `bytes` each under keys of 32 bytes, and back. */
  seal(keys: Uint8Array, payloads: Uint8Array, bytes: number): Promise<Uint8Array>;
  open(keys: Uint8Array, sealed: Uint8Array, bytes: number): Promise<Uint8Array>;
  /** Points under the scalar. */
  multiply(scalar: ScalarKey, points: Uint8Array): Promise<Uint8Array>;
  /** Points under the scalar, as tags of `width` bytes. */
  evaluate(
    scalar: ScalarKey,
    points: Uint8Array,
    session: Uint8Array,
    width: number,
  ): Promise<Uint8Array>;
}

/** Works in this thread and lets the event loop turn before each batch. For tests and small sets. */
export function inlineExecutor(engine?: Curve25519Engine["name"]): Executor {
  return executorOf(engine ?? selectEngine().engine.name, 1, async (name, input) => {
    await new Promise((resolve) => setImmediate(resolve));
    return psiTasks[name](input as never);
  });
}

/** The part of `@vivarium/workers`' pool that is used. */
export interface TaskPool {
  run<Output>(
    name: string,
    input: unknown,
    options?: { readonly signal?: AbortSignal },
  ): Promise<Output>;
}

export interface PoolExecutorOptions {
  /** Default: the fastest that works here. */
  readonly engine?: Curve25519Engine["name"];
  /** Threads of the pool. */
  readonly threads: number;
  /** Ends running tasks. */
  readonly signal?: AbortSignal;
}

/** Works in the threads of a pool whose tasks file registers `psiTasks`. */
export function poolExecutor(pool: TaskPool, options: PoolExecutorOptions): Executor {
  const { signal } = options;
  const engine = options.engine ?? selectEngine().engine.name;
  // One batch more than threads: no thread waits while the event loop fetches the next one.
  return executorOf(engine, options.threads + 1, (name, input) =>
    pool.run<Uint8Array>(name, input, signal === undefined ? {} : { signal }),
  );
}

function executorOf(
  engine: Curve25519Engine["name"],
  parallelism: number,
  run: (name: keyof typeof psiTasks, input: object) => Promise<Uint8Array>,
): Executor {
  return {
    parallelism,
    hash: (items, offsets, session) => run("psi.hash", { engine, items, offsets, session }),
    keyed: (key, items, offsets, width) => run("psi.keyed", { key, items, offsets, width }),
    seal: (keys, payloads, bytes) => run("psi.seal", { keys, payloads, bytes }),
    open: (keys, payloads, bytes) => run("psi.open", { keys, payloads, bytes }),
    multiply: (scalar, points) => run("psi.multiply", { engine, scalar, points }),
    evaluate: (scalar, points, session, width) =>
      run("psi.evaluate", { engine, scalar, points, session, width }),
  };
}

/**
 * Maps in parallel, at most `limit` at once, and gives results in the order of the input. When one
 * fails, no more are started and the others are waited for.
 */
export async function* mapInOrder<In, Out>(
  source: AsyncIterable<In> | Iterable<In>,
  limit: number,
  work: (input: In) => Promise<Out>,
): AsyncGenerator<Out, void, undefined> {
  const flying: Promise<Out>[] = [];
  try {
    for await (const input of source) {
      const started = work(input);
      // It may fail while an earlier one is awaited; that is reported when its turn comes.
      started.catch(() => undefined);
      flying.push(started);
      if (flying.length >= limit) yield await (flying.shift() as Promise<Out>);
    }
    while (flying.length > 0) yield await (flying.shift() as Promise<Out>);
  } finally {
    await Promise.allSettled(flying);
  }
}
