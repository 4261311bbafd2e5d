/** What `audit show` and `audit prove` do. */
import { decodeEntry } from "@vivarium/broker/audit";
import { fromUtf8 } from "@vivarium/core";
import type { Action, Json } from "../command.ts";
import { wholeNumber } from "../file/options.ts";
import { writeNew } from "../files.ts";
import { type ProveOptions, readerOf, type ShowOptions } from "./options.ts";

const most = 1000;

export const show: Action<ShowOptions> = async (context, options) => {
  const { reader } = await readerOf(context, options);
  const { size, origin, root } = reader.checkpoint;
  const count = Math.min(most, wholeNumber("--count", options.count ?? "20", 1));
  const from =
    options.from === undefined ? Math.max(0, size - count) : wholeNumber("--from", options.from, 0);
  const lines: string[] = [];
  const entries: Json[] = [];
  for await (const { index, entry } of reader.entries(from, from + count)) {
    const { at, event, fields } = decodeEntry(entry);
    entries.push({ index, at, event, ...(fields as Readonly<Record<string, Json>>) });
    const rest = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
    lines.push(`${index}  ${new Date(at).toISOString()}  ${event}  ${rest.join(" ")}`);
  }
  const base64 = Buffer.from(root).toString("base64");
  context.print({ origin, size, root: base64, entries }, [
    `${origin}: ${size} entries, root ${base64}`,
    ...lines,
  ]);
  return 0;
};

export const prove: Action<ProveOptions> = async (context, options, index = "") => {
  const { reader } = await readerOf(context, options);
  const proof = await reader.prove(wholeNumber("<index>", index, 0));
  await writeNew(context.path(options.output), "proof", fromUtf8(proof));
  context.print({ file: context.path(options.output), index: Number(index) }, [
    `Wrote ${options.output}; vivarium audit verify --proof ${options.output} --key … checks it without the log.`,
  ]);
  return 0;
};
