/** Two uses of one label could pass one's signature off as the other's: all stand in one place. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { labels } from "@vivarium/core";
import { expect, test } from "vitest";

const packages = fileURLToPath(new URL("../packages", import.meta.url));

/** Literals that begin a domain of ours, by the file they stand in, relative to `packages`. */
function literals(): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, string[]>();
  for (const name of readdirSync(packages)) {
    const directory = join(packages, name, "src");
    for (const file of readdirSync(directory, { recursive: true, encoding: "utf8" })) {
      if (!file.endsWith(".ts")) continue;
      const text = readFileSync(join(directory, file), "utf8");
      const here = [...text.matchAll(/["'`]((?:EXPORTER-)?vivarium\/\d+ [^"'`]*)["'`]/g)];
      if (here.length > 0) {
        found.set(
          `${name}/${file}`,
          here.map(([, literal]) => literal as string),
        );
      }
    }
  }
  return found;
}

test("every domain-separation label stands in core's registry and nowhere else", () => {
  const found = literals();
  expect([...found.keys()]).toEqual(["core/labels.ts"]);
  const registered = Object.values(labels);
  expect([...(found.get("core/labels.ts") ?? [])].sort()).toEqual([...registered].sort());
  expect(new Set(registered).size).toBe(registered.length);
});

test("every label is used: one that is not has been forgotten where it belongs", () => {
  const sources = readdirSync(packages).flatMap((name) => {
    const directory = join(packages, name, "src");
    return readdirSync(directory, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && file !== "labels.ts")
      .map((file) => readFileSync(join(directory, file), "utf8"));
  });
  const all = sources.join("\n");
  const unused = Object.keys(labels).filter((name) => !new RegExp(`labels\\.${name}\\b`).test(all));
  expect(unused).toEqual([]);
});
