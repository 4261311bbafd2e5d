/** The side of a pool's thread: tasks by name. */
import { type ErrorRecord, type Tagged, toErrorRecord } from "@vivarium/core";
import { move } from "piscina";
import { WorkersError } from "./errors.ts";

/** A task: takes a structured-cloneable value, returns one. `never` so that any input type fits. */
export type Task = (input: never) => unknown;
export type Tasks = Readonly<Record<string, Task>>;

/** What crosses to a thread. */
export interface TaskRequest {
  readonly name: string;
  readonly input: unknown;
}

/** What a tasks file exports by default. */
export type TaskHandler<T extends Tasks> = ((request: TaskRequest) => Promise<unknown>) & {
  /** Names and types only; for `TypedPool<typeof handler>`. */
  readonly tasks?: T;
};

const transferMark: unique symbol = Symbol("vivarium.transfer");

interface WithTransfers {
  readonly [transferMark]: readonly ArrayBuffer[];
  readonly value: unknown;
}

/**
 * Returned by a task to hand its buffers over instead of copying them. They are empty afterwards
 * in the thread.
 * @example return transfer({ points }, [points.buffer]);
 */
export function transfer<T>(value: T, buffers: readonly ArrayBuffer[]): T {
  return { [transferMark]: buffers, value } as unknown as T;
}

/**
 * Names the tasks of a trust domain. The file that calls it is the bundle's tasks entry, and
 * exports the result by default: a pool runs these names and nothing else, never a path.
 * @example export default registerTasks({ mask: (points: Uint8Array) => … });
 */
export function registerTasks<T extends Tasks>(tasks: T): TaskHandler<T> {
  const registry = new Map<string, Task>(Object.entries(tasks));
  return async ({ name, input }) => {
    const task = registry.get(name);
    if (task === undefined) {
      return failed(new WorkersError("unknown-task", `No task is registered as "${name}".`));
    }
    try {
      const value: unknown = await task(input as never);
      if (!hasTransfers(value)) return { ok: true, value } satisfies Tagged<unknown>;
      const tagged: Tagged<unknown> = { ok: true, value: value.value };
      return withTransfers(tagged, value[transferMark]);
    } catch (thrown) {
      return failed(thrown);
    }
  };
}

function failed(thrown: unknown): Tagged<never> {
  const error: ErrorRecord = toErrorRecord(
    thrown,
    // The class tells a developer what happened; the message may quote a user's row.
    `A task failed with ${thrown instanceof Error ? thrown.name : typeof thrown}.`,
  );
  return { ok: false, error };
}

function hasTransfers(value: unknown): value is WithTransfers {
  return typeof value === "object" && value !== null && transferMark in value;
}

/** Piscina's form of a result that moves. */
function withTransfers(value: unknown, buffers: readonly ArrayBuffer[]): unknown {
  return move({
    get [transferableSymbol]() {
      return [...buffers];
    },
    get [valueSymbol]() {
      return value;
    },
  } as unknown as Parameters<typeof move>[0]);
}

/** Piscina's registered symbols (`Piscina.transferableSymbol`, `Piscina.valueSymbol`). */
const transferableSymbol = Symbol.for("Piscina.transferable");
const valueSymbol = Symbol.for("Piscina.valueOf");
