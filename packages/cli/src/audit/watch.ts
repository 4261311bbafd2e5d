/** What `audit watch` does. */
import { access } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { replaceFile } from "@vivarium/seal";
import type { Action } from "../command.ts";
import { wholeNumber } from "../file/options.ts";
import { fileLimits, readBounded } from "../files.ts";
import { type LogOptions, readerOf, type WatchOptions } from "./options.ts";

export const watch: Action<WatchOptions & LogOptions> = async (context, options) => {
  const memory = context.path(options.memory);
  const interval = wholeNumber("--interval", options.interval ?? "10", 1);
  const { signal } = context.io;
  for (;;) {
    const { reader } = await readerOf(context, options);
    const known = await access(memory).then(
      () => true,
      () => false,
    );
    const before = known
      ? await reader.requireGrownFrom(await readBounded(memory, "checkpoint", fileLimits.proof))
      : undefined;
    const { size } = reader.checkpoint;
    if (before === undefined || before.size < size) {
      await replaceFile(memory, (store) => store.write(0, reader.note));
      context.note(`${new Date(context.io.now()).toISOString()}  ${size} entries`);
    }
    if (options.once === true) {
      context.print({ size, grownFrom: before?.size ?? null }, [
        before === undefined
          ? `Remembered the first checkpoint, of ${size} entries.`
          : `${size} entries, grown out of ${before.size}.`,
      ]);
      return 0;
    }
    await sleep(interval * 1000, undefined, { signal });
  }
};
