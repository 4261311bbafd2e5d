import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { eventCatalogue } from "@vivarium/ops";
import { expect, it } from "vitest";

const packages = fileURLToPath(new URL("../packages", import.meta.url));

/** Members of the string union or array that a template's variable runs through, by its source. */
const templates: Readonly<Record<string, RegExp>> = {
  "workers: worker.${state}": /type WorkerState = ([^;]+);/,
  "workers: worker.${name}": /for \(const name of \[([^\]]+)\]/,
};

function sources(name: string): string[] {
  const directory = join(packages, name, "src");
  return readdirSync(directory, { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".ts"))
    .map((file) => readFileSync(join(directory, file), "utf8"));
}

/** Names of events that the sources can report; unresolved ones as `unresolved: …`. */
function usedEvents(): Set<string> {
  const used = new Set<string>();
  for (const name of readdirSync(packages)) {
    // `ops` compares names, it reports none; the catalogue itself must not count as a use.
    if (name === "ops") continue;
    const files = sources(name);
    const all = files.join("\n");
    for (const [, argument = ""] of all.matchAll(/\.event\(\s*[^,()]+,\s*([^,)]+)[,)]/g)) {
      if (/^"[^"]+"$/.test(argument.trim())) used.add(argument.trim().slice(1, -1));
      else if (argument.trim().startsWith("`"))
        expand(name, argument.trim().slice(1, -1), all, used);
    }
    // Names that are handed to a helper which reports them.
    for (const [, template = ""] of all.matchAll(/logLines\([^`;{]*`([^`]+)`/g)) {
      expand(name, template, all, used);
    }
  }
  return used;
}

function expand(name: string, template: string, all: string, used: Set<string>): void {
  const values = templates[`${name}: ${template}`]?.exec(all)?.[1]?.match(/"([^"]+)"/g);
  if (values === null || values === undefined) used.add(`unresolved: ${name}: ${template}`);
  for (const value of values ?? []) used.add(template.replace(/\$\{\w+\}/, value.slice(1, -1)));
}

it("the catalogue has exactly the events that the packages report", () => {
  expect([...usedEvents()].sort()).toEqual(Object.keys(eventCatalogue).sort());
});
