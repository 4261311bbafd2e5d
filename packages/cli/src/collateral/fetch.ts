/** What `collateral fetch` does. */
import { collateralSource, diskCache, fetchCollateral } from "@vivarium/attestation/fetch";
import { encodeCollateralBundle } from "@vivarium/attestation/forms";
import { type Clock, fromUtf8 } from "@vivarium/core";
import type { Action } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { readEvidenceFile } from "../evidence/input.ts";
import { writeNew } from "../files.ts";
import { itemLines, itemsJson, itemsOf } from "./show.ts";

export interface FetchOptions {
  readonly output: string;
  readonly pcs?: string;
  readonly kds?: string;
  readonly hygon?: string;
  readonly offline?: true;
}

export const fetch: Action<FetchOptions> = async (context, options, file = "") => {
  const { evidence } = await readEvidenceFile(context.path(file));
  const services = Object.fromEntries(
    (["pcs", "kds", "hygon"] as const).flatMap((name) => {
      const url = options[name];
      return url === undefined ? [] : [[name, serviceOf(name, url)]];
    }),
  );
  const state = await context.state({ create: true });
  const { now } = context.io;
  const clock: Clock = { now, monotonic: now, after: () => () => {} };
  const source = collateralSource({
    clock,
    cache: diskCache(state.collateral),
    offline: options.offline === true,
    signal: context.io.signal,
    onRequest: (line) => context.note(line),
  });
  const collateral = await fetchCollateral(evidence, source, services);
  const items = await itemsOf(collateral);
  const output = context.path(options.output);
  await writeNew(output, "collateral bundle", fromUtf8(encodeCollateralBundle(collateral)));
  context.print({ file: output, type: evidence.type, items: itemsJson(items) }, [
    `Wrote ${output}: collateral of ${evidence.type} evidence, which verifying will judge.`,
    ...itemLines(items, now()),
  ]);
  return 0;
};

/** An address without a path, so that paths are the service's own. @throws CliError `usage`. */
function serviceOf(name: string, url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const ok = parsed !== undefined && ["https:", "http:"].includes(parsed.protocol);
  if (!ok || parsed.search !== "" || parsed.hash !== "" || parsed.username !== "") {
    throw new CliError(
      "usage",
      `--${name} must be an address such as https://pccs.example.com:8081.`,
    );
  }
  return url.replace(/\/+$/, "");
}
