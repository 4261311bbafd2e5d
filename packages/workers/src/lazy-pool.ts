/** The pool of a trust domain: made when the first task runs, for most domains have none. */
import { WorkersError } from "./errors.ts";
import {
  createPool,
  type Pool,
  type PoolOptions,
  type RunOptions,
  type TypedPool,
} from "./pool.ts";
import type { Tasks } from "./tasks.ts";

/** @param file the bundle's tasks file, or null if it has none. */
export function lazyPool(file: string | null, options: Omit<PoolOptions, "file">): Pool {
  let pool: Pool | undefined;
  let closed = false;
  const lazy: Pool = {
    async run<Output>(name: string, input: unknown, run?: RunOptions): Promise<Output> {
      if (file === null) {
        throw new WorkersError("unknown-task", `This bundle has no tasks, so no "${name}".`);
      }
      if (closed) throw new WorkersError("aborted", "The pool is closed.");
      pool ??= createPool({ ...options, file });
      return pool.run<Output>(name, input, run);
    },
    typed<T extends Tasks>(): TypedPool<T> {
      return lazy as unknown as TypedPool<T>;
    },
    stats: () => pool?.stats() ?? { threads: 0, running: 0, waiting: 0 },
    async close() {
      closed = true;
      await pool?.close();
    },
    [Symbol.asyncDispose]: () => lazy.close(),
  };
  return lazy;
}
