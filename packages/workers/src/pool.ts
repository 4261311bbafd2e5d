/**
 * A pool of threads that run registered tasks. Threads are for parallelism: they share this
 * process's memory, keys and fate, and are no boundary between parties. Piscina does the
 * scheduling; this adds tasks by name, quotas, typed errors across the thread, and ordered drain.
 */
import { availableParallelism } from "node:os";
import type { Transferable } from "node:worker_threads";
import { type ErrorClass, type ErrorRecord, fromErrorRecord, throwIfAborted } from "@vivarium/core";
import { Piscina } from "piscina";
import { WorkersError, workersErrorClass } from "./errors.ts";
import { poolLimits } from "./limits.ts";
import type { Task, TaskHandler, Tasks } from "./tasks.ts";

export interface PoolOptions {
  /** The tasks file: absolute path of a module whose default export is `registerTasks(…)`. */
  readonly file: string;
  /** Most threads at once, 1 to 256. Default: the machine's parallelism. Started when needed. */
  readonly threads?: number;
  /** Tasks that may wait for a thread. Default 1,024. One more is refused with `quota-exceeded`. */
  readonly queueLength?: number;
  /** Longest run of one task, waiting included, in milliseconds. Default: no limit. */
  readonly taskTimeoutMs?: number;
  /** JavaScript heap of one thread in MiB. Buffers do not count. Default: V8's own. */
  readonly heapMb?: number;
  /** Error classes to rebuild behind the thread, besides those of `core` and `workers`. */
  readonly errorClasses?: readonly ErrorClass[];
}

export interface RunOptions {
  /** Buffers and ports that move to the thread instead of being copied; at most 1,024. */
  readonly transfer?: readonly Transferable[];
  /** Cancels: a waiting task is taken out, a running one ends with its thread. */
  readonly signal?: AbortSignal;
  /** Overrides the pool's `taskTimeoutMs` for this task. */
  readonly timeoutMs?: number;
}

export interface PoolStats {
  readonly threads: number;
  readonly running: number;
  readonly waiting: number;
}

export interface Pool extends AsyncDisposable {
  /**
   * Runs a registered task in some thread.
   * @throws WorkersError `unknown-task`, `quota-exceeded`, `aborted`, `timeout`, `task-crashed`; or
   * the task's own error, with its class and code.
   */
  run<Output = unknown>(name: string, input: unknown, options?: RunOptions): Promise<Output>;
  /** The same pool, with the names and types of a tasks file. */
  typed<T extends Tasks>(): TypedPool<T>;
  stats(): PoolStats;
  /** Admits nothing more, waits for what was admitted, then ends the threads. */
  close(): Promise<void>;
}

type InputOf<T extends Task> = Parameters<T> extends readonly [] ? undefined : Parameters<T>[0];

/** @example pool.typed<TasksOf<typeof import("./tasks.ts").default>>() */
export type TasksOf<H> = H extends TaskHandler<infer T> ? T : never;

export interface TypedPool<T extends Tasks> {
  run<K extends keyof T & string>(
    name: K,
    input: InputOf<T[K]>,
    options?: RunOptions,
  ): Promise<Awaited<ReturnType<T[K]>>>;
}

interface Resolved {
  readonly threads: number;
  readonly queueLength: number;
  readonly taskTimeoutMs: number | undefined;
  readonly classes: readonly ErrorClass[];
}

/** @throws WorkersError `invalid-argument` for a number out of range. */
export function createPool(options: PoolOptions): Pool {
  const resolved: Resolved = {
    threads: within("threads", options.threads ?? availableParallelism(), 1, poolLimits.maxThreads),
    queueLength: within("queueLength", options.queueLength ?? poolLimits.queueLength, 0, 1_000_000),
    taskTimeoutMs:
      options.taskTimeoutMs === undefined
        ? undefined
        : within("taskTimeoutMs", options.taskTimeoutMs, 1, 2_147_483_647),
    classes: [...(options.errorClasses ?? []), workersErrorClass],
  };
  const piscina = new Piscina({
    filename: options.file,
    minThreads: 0,
    maxThreads: resolved.threads,
    // Admission is counted here, so that the error is typed and the count includes what runs.
    maxQueue: Number.POSITIVE_INFINITY,
    idleTimeout: 30_000,
    concurrentTasksPerWorker: 1,
    // Piscina's default blocks an idle thread in Atomics.wait. A thread of ours may hold a port of
    // a channel, or a timer that erases a key, between two tasks: its event loop has to turn.
    atomics: "disabled",
    // Nothing of the process's environment is for a thread.
    env: {},
    recordTiming: false,
    ...(options.heapMb === undefined
      ? {}
      : {
          resourceLimits: { maxOldGenerationSizeMb: within("heapMb", options.heapMb, 4, 65_536) },
        }),
  });
  // A thread that dies without a task is replaced at the next one; there is no one to tell.
  piscina.on("error", () => undefined);
  return new PiscinaPool(piscina, resolved);
}

class PiscinaPool implements Pool {
  readonly #piscina: Piscina;
  readonly #options: Resolved;
  readonly #open = new Set<Promise<unknown>>();
  #closing: Promise<void> | undefined;

  constructor(piscina: Piscina, options: Resolved) {
    this.#piscina = piscina;
    this.#options = options;
  }

  async run<Output>(name: string, input: unknown, options: RunOptions = {}): Promise<Output> {
    this.#admit(name, options);
    const work = this.#run(name, input, options);
    this.#open.add(work);
    try {
      return (await work) as Output;
    } finally {
      this.#open.delete(work);
    }
  }

  typed<T extends Tasks>(): TypedPool<T> {
    return this as unknown as TypedPool<T>;
  }

  stats(): PoolStats {
    const running = Math.min(this.#open.size, this.#options.threads);
    return { threads: this.#piscina.threads.length, running, waiting: this.#open.size - running };
  }

  close(): Promise<void> {
    this.#closing ??= (async () => {
      await Promise.allSettled([...this.#open]);
      await this.#piscina.destroy();
    })();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #admit(name: string, options: RunOptions): void {
    throwIfAborted(options.signal);
    if (this.#closing !== undefined) {
      throw new WorkersError("aborted", "The pool is closing and takes no more tasks.");
    }
    if (name.length === 0 || name.length > poolLimits.maxNameChars) {
      throw new WorkersError("unknown-task", "A task's name has 1 to 128 characters.");
    }
    if ((options.transfer?.length ?? 0) > poolLimits.maxTransfers) {
      throw new WorkersError(
        "quota-exceeded",
        `A task may transfer at most ${poolLimits.maxTransfers} objects.`,
      );
    }
    const { threads, queueLength } = this.#options;
    if (this.#open.size >= threads + queueLength) {
      throw new WorkersError(
        "quota-exceeded",
        `All ${threads} threads are busy and ${queueLength} tasks wait; try again later.`,
      );
    }
  }

  async #run(name: string, input: unknown, options: RunOptions): Promise<unknown> {
    const timeoutMs = options.timeoutMs ?? this.#options.taskTimeoutMs;
    const timeout = timeoutMs === undefined ? undefined : AbortSignal.timeout(timeoutMs);
    const signals = [options.signal, timeout].filter((signal) => signal !== undefined);
    let tagged: unknown;
    try {
      tagged = await this.#piscina.run(
        { name, input },
        {
          transferList: [...(options.transfer ?? [])] as never,
          ...(signals.length === 0 ? {} : { signal: AbortSignal.any(signals) }),
        },
      );
    } catch (cause) {
      throw this.#explain(name, cause, options.signal, timeout);
    }
    return unwrap(tagged, this.#options.classes);
  }

  #explain(
    name: string,
    cause: unknown,
    signal: AbortSignal | undefined,
    timeout: AbortSignal | undefined,
  ): WorkersError {
    if (signal?.aborted === true) {
      return new WorkersError("aborted", `Task "${name}" was cancelled.`, { cause });
    }
    if (timeout?.aborted === true) {
      return new WorkersError("timeout", `Task "${name}" ran out of time.`, { cause });
    }
    const code = (cause as { code?: unknown } | null)?.code;
    if (cause instanceof DOMException && cause.name === "DataCloneError") {
      return new WorkersError("invalid-argument", `The input of "${name}" cannot be cloned.`, {
        cause,
      });
    }
    const reason = typeof code === "string" ? ` (${code})` : "";
    return new WorkersError("task-crashed", `The thread of task "${name}" died${reason}.`, {
      cause,
    });
  }
}

function unwrap(tagged: unknown, classes: readonly ErrorClass[]): unknown {
  if (typeof tagged === "object" && tagged !== null && "ok" in tagged) {
    if (tagged.ok === true && "value" in tagged) return tagged.value;
    if (tagged.ok === false && "error" in tagged) {
      throw fromErrorRecord(tagged.error as ErrorRecord, classes);
    }
  }
  throw new WorkersError(
    "task-crashed",
    "A tasks file must export the result of registerTasks by default.",
  );
}

function within(name: string, value: number, min: number, max: number): number {
  if (!Number.isSafeInteger(value) || value < min || value > max) {
    throw new WorkersError("invalid-argument", `${name} must be ${min} to ${max}, not ${value}.`);
  }
  return value;
}
