/** What `collateral show` and `bundle` do. */
import type { Collateral } from "@vivarium/attestation";
import {
  type CollateralItem,
  describeCollateral,
  encodeCollateralBundle,
} from "@vivarium/attestation/forms";
import { fromUtf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action, Json } from "../command.ts";
import { readCollateralFiles } from "../evidence/input.ts";
import { writeNew } from "../files.ts";
import { printable } from "../io.ts";

export const show: Action<object> = async (context, _options, ...files) => {
  const items = await itemsOf(await readCollateralFiles(files.map(context.path)));
  const now = context.io.now();
  const ended = items.filter(({ notAfter }) => notAfter !== undefined && notAfter <= now).length;
  context.print({ items: itemsJson(items), ended }, [
    ...itemLines(items, now),
    ended === 0
      ? "Nothing has ended."
      : `${ended} of ${items.length} have ended: fetch them again.`,
  ]);
  return ended === 0 ? 0 : 1;
};

export const bundle: Action<{ output: string }> = async (context, options, ...files) => {
  const collateral = await readCollateralFiles(files.map(context.path));
  const items = await itemsOf(collateral);
  const output = context.path(options.output);
  await writeNew(output, "collateral bundle", fromUtf8(encodeCollateralBundle(collateral)));
  context.print({ file: output, items: itemsJson(items) }, [
    `Wrote ${output}.`,
    ...itemLines(items, context.io.now()),
  ]);
  return 0;
};

export async function itemsOf(collateral: Collateral): Promise<readonly CollateralItem[]> {
  return await describeCollateral(nodeCrypto(), collateral);
}

const dateOf = (ms: number | undefined): string | null =>
  ms === undefined ? null : new Date(ms).toISOString();

export function itemsJson(items: readonly CollateralItem[]): readonly Json[] {
  return items.map(({ entry, what, notBefore, notAfter }) => ({
    ...{ entry, what },
    notBefore: dateOf(notBefore),
    notAfter: dateOf(notAfter),
  }));
}

/** What ends first stands first. */
export function itemLines(items: readonly CollateralItem[], now: number): readonly string[] {
  const width = Math.max(...items.map(({ entry }) => entry.length), 4);
  return [...items]
    .sort(
      (a, b) => (a.notAfter ?? Number.POSITIVE_INFINITY) - (b.notAfter ?? Number.POSITIVE_INFINITY),
    )
    .map(({ entry, what, notAfter }) => {
      const end = notAfter === undefined ? "no end" : `until ${dateOf(notAfter)}`;
      const mark = notAfter !== undefined && notAfter <= now ? "ENDED " : "";
      return `  ${entry.padEnd(width)}  ${mark}${end}  ${printable(what)}`;
    });
}
