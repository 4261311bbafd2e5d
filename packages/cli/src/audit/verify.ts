/** What `audit verify` does. */
import { decodeEntry, encodeVkey, verifyProof } from "@vivarium/broker/audit";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action, Context, Json } from "../command.ts";
import { fileLimits, readBounded } from "../files.ts";
import { readerOf, trustOf, type VerifyOptions } from "./options.ts";

export const verify: Action<VerifyOptions> = async (context, options) => {
  if (options.proof !== undefined) return await verifyOne(context, options, options.proof);
  const { reader, trust } = await readerOf(context, options);
  const { size, root, origin } = reader.checkpoint;
  const { strangers } = await reader.verifyAll();
  const since =
    options.since === undefined
      ? undefined
      : await reader.requireGrownFrom(
          await readBounded(context.path(options.since), "checkpoint", fileLimits.proof),
        );
  const base64 = Buffer.from(root).toString("base64");
  context.print(
    {
      verified: true,
      origin,
      size,
      root: base64,
      key: encodeVkey(trust.log),
      witnesses: trust.quorum,
      ...(since === undefined ? {} : { since: since.size }),
      strangers,
    },
    [
      `Verified: ${size} entries of ${origin}, root ${base64}.`,
      ...(trust.quorum === 0 ? [] : [`Cosigned by at least ${trust.quorum} witnesses.`]),
      ...(since === undefined
        ? ["Whether it is the newest, or the only history, takes --since or witnesses."]
        : [`It has grown out of the checkpoint of ${since.size} entries.`]),
      ...strangers.map((path) => `Not part of the log: ${path}`),
    ],
  );
  return 0;
};

async function verifyOne(context: Context, options: VerifyOptions, file: string): Promise<0> {
  const trust = await trustOf(context, options);
  const bytes = await readBounded(context.path(file), "proof", fileLimits.proof);
  const { entry, index, checkpoint } = await verifyProof(nodeCrypto(), bytes, trust);
  const { at, event, fields } = decodeEntry(entry);
  const { origin, size } = checkpoint;
  context.print(
    {
      verified: true,
      origin,
      index,
      size,
      at,
      event,
      ...(fields as Readonly<Record<string, Json>>),
    },
    [
      `Verified: entry ${index} of ${origin}, among ${size}.`,
      `${new Date(at).toISOString()} by the log's clock: ${event}`,
      ...Object.entries(fields).map(([name, value]) => `  ${name}: ${String(value)}`),
    ],
  );
  return 0;
}
