/** Writes `schema/policy.schema.json`: `npx tsx packages/attestation/scripts/write-schema.ts`. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { policySchema } from "../src/index.ts";

const file = new URL("../schema/policy.schema.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(policySchema, null, 2)}\n`);
const biome = fileURLToPath(new URL("../../../node_modules/.bin/biome", import.meta.url));
const { status } = spawnSync(biome, ["format", "--write", fileURLToPath(file)], {
  stdio: ["ignore", "ignore", "inherit"],
});
if (status !== 0) throw new Error("The schema could not be formatted.");
