/** Every example runs, and asserts its own result. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

/** Stories, and one of evidence for each TEE; `support/` is not one. */
const stories = (of: string): readonly string[] =>
  readdirSync(new URL(of, new URL("../examples/", import.meta.url)))
    .filter((name) => name.endsWith(".ts"))
    .map((name) => `${of}${name}`);

const folder = fileURLToPath(new URL("../examples/", import.meta.url));
const tsx = fileURLToPath(import.meta.resolve("tsx/cli"));

test.each([...stories("./"), ...stories("evidence/")])("%s", (name) => {
  const run = spawnSync(process.execPath, [tsx, `${folder}${name}`], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
});
