/** Every example runs, and asserts its own result. */
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const folder = fileURLToPath(new URL("../examples/", import.meta.url));
const tsx = fileURLToPath(import.meta.resolve("tsx/cli"));

test.each(readdirSync(folder).filter((name) => name.endsWith(".ts")))("%s", (name) => {
  const run = spawnSync(process.execPath, [tsx, `${folder}${name}`], { encoding: "utf8" });
  expect(run.stderr).toBe("");
  expect(run.status).toBe(0);
});
