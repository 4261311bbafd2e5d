/**
 * The newest version of each sealed file that this state directory has seen. It shows a file that was
 * put back; a host that puts the state directory back as well is not shown up by it.
 */
import { labels, lengthPrefixed, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { fileCounter } from "@vivarium/seal";
import type { Context } from "../command.ts";
import { makePrivateDirectory } from "../files.ts";

export interface Versions {
  /** 0 if it was never seen. */
  newest(): Promise<number>;
  saw(version: number): Promise<void>;
}

/** Of one file, known by name and type. */
export async function versionsOf(context: Context, name: string, type: string): Promise<Versions> {
  const state = await context.state({ create: true });
  await makePrivateDirectory(state.counters, "directory of counters");
  const counter = fileCounter(state.counters);
  const digest = await nodeCrypto().digest(
    "SHA-256",
    lengthPrefixed(labels.fileVersion, name, type),
  );
  const id = `file-${toHex(digest.subarray(0, 16))}`;
  return {
    newest: () => counter.read(id),
    saw: async (version) => {
      if (version > (await counter.read(id))) await counter.advance(id, version);
    },
  };
}
