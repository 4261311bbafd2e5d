/**
 * `@peculiar/x509` brings tsyringe, which refuses to load without the `reflect-metadata` polyfill:
 * a global that only its decorators ask for, while the module loads. We lend it one for that long
 * and leave the global as it was.
 */
type Metadata = Map<unknown, Map<unknown, unknown>>;

let loading: Promise<unknown> | undefined;

/** Runs `load` with `Reflect.getMetadata` and friends present, then removes them again. */
export async function withReflectMetadata<T>(load: () => Promise<T>): Promise<T> {
  // One at a time: the second must not take the first one's loan for the application's own.
  while (loading !== undefined) await loading;
  const reflect = Reflect as typeof Reflect & Record<string, unknown>;
  if ("getMetadata" in reflect) return await load();
  const store: Metadata = new Map();
  const get = (key: unknown, target: unknown): unknown => store.get(target)?.get(key);
  const lent: Record<string, unknown> = {
    getMetadata: get,
    getOwnMetadata: get,
    defineMetadata(key: unknown, value: unknown, target: unknown): void {
      const entries = store.get(target) ?? new Map<unknown, unknown>();
      store.set(target, entries.set(key, value));
    },
    metadata: () => (): void => {},
  };
  Object.assign(reflect, lent);
  const work = load();
  loading = work.catch(() => undefined);
  try {
    return await work;
  } finally {
    for (const name of Object.keys(lent)) delete reflect[name];
    loading = undefined;
  }
}
