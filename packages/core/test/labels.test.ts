/** A label that has been released never changes: what was signed under it would stop verifying. */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { lengthPrefixed } from "../src/bytes.ts";
import { labels } from "../src/labels.ts";
import golden from "./vectors/labels.json" with { type: "json" };

const digest = (label: string) =>
  createHash("sha256").update(lengthPrefixed(label, "x")).digest("hex");

test("all labels are different, and none is the beginning of another's bytes", () => {
  const all = Object.values(labels);
  expect(new Set(all).size).toBe(all.length);
  for (const label of all) expect(label).toMatch(/^(EXPORTER-)?vivarium\/1 [\x20-\x7e]+$/);
});

test("every label has the digest it was released with", () => {
  const now = Object.fromEntries(
    Object.entries(labels).map(([name, text]) => [name, digest(text)]),
  );
  expect(now).toEqual(golden);
});

test("core stays small: at most 1,000 lines of code, comments, blank lines and the labels aside", () => {
  const root = new URL("../src/", import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: "utf8" });
  const code = files
    // The registry grows with the workloads, and is a table.
    .filter((file) => file.endsWith(".ts") && file !== "labels.ts")
    .flatMap((file) => readFileSync(new URL(file, root), "utf8").split("\n"))
    .filter((line) => !/^\s*(\/\/|\/?\*|$)/.test(line));
  expect(code.length).toBeLessThanOrEqual(1000);
});

test("no module but node/ imports from node:", () => {
  const root = new URL("../src/", import.meta.url);
  for (const file of readdirSync(root, { recursive: true, encoding: "utf8" })) {
    if (!file.endsWith(".ts") || file.startsWith("node")) continue;
    expect(readFileSync(new URL(file, root), "utf8")).not.toMatch(/from "node:/);
  }
});
