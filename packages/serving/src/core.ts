/** The server behind every protocol: models by name, version or label, hot-swapped, each with its queue. */
import type { Clock } from "@vivarium/core";
import type { ModelSpec } from "@vivarium/tensors";
import {
  type Batcher,
  type BatchingOptions,
  createBatcher,
  type SubmitOptions,
} from "./batcher.ts";
import { ServingError } from "./errors.ts";
import {
  type LoadedModel,
  loadModel,
  type RepositoryOptions,
  scanRepository,
} from "./repository.ts";
import type { Values } from "./values.ts";

export interface ModelRef {
  readonly name: string;
  /** Default: the newest that is served. */
  readonly version?: number;
  readonly label?: string;
}

export interface ServedModel {
  readonly name: string;
  readonly version: number;
  readonly digest: string;
  readonly sealed: boolean;
  readonly spec: ModelSpec;
}

export interface Prediction {
  readonly model: ServedModel;
  readonly outputs: Values;
}

export interface CoreOptions {
  readonly repository: RepositoryOptions;
  readonly clock: Clock;
  readonly batching?: Partial<BatchingOptions>;
}

/** What a refresh changed. */
export interface Refresh {
  readonly loaded: readonly ServedModel[];
  readonly unloaded: readonly ServedModel[];
  /** Versions that cannot be loaded: those before them go on being served. */
  readonly broken: readonly {
    readonly name: string;
    readonly version: number;
    readonly reason: string;
  }[];
}

/** Counts of one version since it was loaded. */
export interface ModelStats {
  readonly name: string;
  readonly version: number;
  readonly success: number;
  readonly failure: number;
  /** Rows answered, in how many runs of the model. */
  readonly rows: number;
  readonly executions: number;
  readonly waiting: number;
}

interface Served {
  readonly loaded: LoadedModel;
  readonly batcher: Batcher;
  success: number;
  failure: number;
}

export class ServingCore implements AsyncDisposable {
  readonly #options: CoreOptions;
  #served = new Map<string, Map<number, Served>>();
  #requests = 0;
  #failures = 0;

  constructor(options: CoreOptions) {
    this.#options = options;
  }

  /**
   * Reads the repository again: new versions are loaded first, then old ones finish what they have and go. A
   * version that is broken takes nothing away.
   */
  async refresh(): Promise<Refresh> {
    const { repository, clock, batching } = this.#options;
    const wanted = await scanRepository(repository);
    const next = new Map<string, Map<number, Served>>();
    const loaded: ServedModel[] = [];
    const broken: Refresh["broken"][number][] = [];
    const failed = new Set<string>();
    for (const [name, version] of wanted) {
      const versions = next.get(name) ?? new Map<number, Served>();
      next.set(name, versions);
      const before = this.#served.get(name)?.get(version);
      if (before !== undefined) {
        versions.set(version, before);
        continue;
      }
      try {
        const model = await loadModel(repository, name, version);
        versions.set(version, {
          loaded: model,
          batcher: createBatcher(model.model, clock, batching),
          success: 0,
          failure: 0,
        });
        loaded.push(describe(model));
      } catch (thrown) {
        broken.push({ name, version, reason: (thrown as Error).message });
        failed.add(name);
      }
    }
    // What was served of a model whose new version is broken stays.
    for (const name of failed) {
      const versions = next.get(name) as Map<number, Served>;
      for (const [version, served] of this.#served.get(name) ?? []) {
        if (!versions.has(version)) versions.set(version, served);
      }
    }
    const retired = [...this.#served].flatMap(([name, versions]) =>
      [...versions]
        .filter(([version]) => next.get(name)?.has(version) !== true)
        .map(([, served]) => served),
    );
    this.#served = next;
    void Promise.all(retired.map(retire));
    return { loaded, unloaded: retired.map((served) => describe(served.loaded)), broken };
  }

  /** In the order of names, newest versions first. */
  models(): readonly ServedModel[] {
    return [...this.#served.values()].flatMap((versions) =>
      [...versions.values()]
        .map(({ loaded }) => describe(loaded))
        .sort((a, b) => b.version - a.version),
    );
  }

  /** @throws ServingError `not-found`. */
  find(ref: ModelRef): ServedModel {
    return describe(this.#find(ref).loaded);
  }

  async predict(ref: ModelRef, inputs: Values, options: SubmitOptions = {}): Promise<Prediction> {
    this.#requests++;
    try {
      for (;;) {
        const served = this.#find(ref);
        try {
          const outputs = await served.batcher.submit(inputs, options);
          served.success++;
          return { model: describe(served.loaded), outputs };
        } catch (thrown) {
          // Swapped between look-up and queue: the newer version takes it.
          const swapped = thrown instanceof ServingError && thrown.code === "closed";
          if (!swapped || this.#find(ref) === served) {
            served.failure++;
            throw thrown;
          }
        }
      }
    } catch (thrown) {
      this.#failures++;
      throw thrown;
    }
  }

  /** By the clock that deadlines are held against, milliseconds since the epoch. */
  now(): number {
    return this.#options.clock.now();
  }

  /** Of what is served now, in the order of `models()`. */
  modelStats(): readonly ModelStats[] {
    return this.models().flatMap(({ name, version }) => {
      const served = this.#served.get(name)?.get(version);
      if (served === undefined) return [];
      const { batcher, success, failure } = served;
      const { rows, executions, waiting } = batcher;
      return [{ name, version, success, failure, rows, executions, waiting }];
    });
  }

  /** Of the whole server. */
  stats(): { readonly requests: number; readonly failures: number; readonly waiting: number } {
    let waiting = 0;
    for (const versions of this.#served.values()) {
      for (const { batcher } of versions.values()) waiting += batcher.waiting;
    }
    return { requests: this.#requests, failures: this.#failures, waiting };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const all = [...this.#served.values()].flatMap((versions) => [...versions.values()]);
    this.#served = new Map();
    await Promise.all(all.map(retire));
  }

  #find({ name, version, label }: ModelRef): Served {
    const versions = this.#served.get(name);
    const quoted = JSON.stringify(name.slice(0, 128));
    if (versions === undefined || versions.size === 0) {
      throw new ServingError("not-found", `There is no model ${quoted}.`);
    }
    const labels = this.#options.repository.labels?.[name] ?? {};
    let wanted = version;
    if (label !== undefined) {
      wanted = Object.hasOwn(labels, label) ? labels[label] : undefined;
      if (wanted === undefined) {
        throw new ServingError(
          "not-found",
          `The model ${quoted} has no label ${JSON.stringify(label.slice(0, 64))}.`,
        );
      }
    }
    const served = versions.get(wanted ?? Math.max(...versions.keys()));
    if (served === undefined) {
      throw new ServingError("not-found", `The model ${quoted} has no version ${wanted}.`);
    }
    return served;
  }
}

async function retire({ batcher, loaded }: Served): Promise<void> {
  await batcher.close();
  await loaded.model[Symbol.asyncDispose]();
}

const describe = ({ name, version, digest, sealed, model }: LoadedModel): ServedModel => ({
  ...{ name, version, digest, sealed },
  spec: model.spec,
});
