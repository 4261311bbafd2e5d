/** Writes `schema/*.json` from the TypeBox schemas, formatted. Run: `npm run docs:generate`. */
import { spawnSync } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { schemaFiles } from "../src/config/schemas.ts";

const target = new URL("../schema/", import.meta.url);
await mkdir(target, { recursive: true });
for (const [name, text] of schemaFiles()) await writeFile(new URL(name, target), text);
const biome = fileURLToPath(new URL("../../../node_modules/.bin/biome", import.meta.url));
const { status } = spawnSync(biome, ["format", "--write", fileURLToPath(target)], {
  stdio: ["ignore", "ignore", "inherit"],
});
if (status !== 0) throw new Error("The schemas could not be formatted.");
