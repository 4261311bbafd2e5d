/** Writes `schema/policy.schema.json`: `npx tsx packages/attestation/scripts/write-schema.ts`. */
import { writeFileSync } from "node:fs";
import { policySchema } from "../src/index.ts";

const file = new URL("../schema/policy.schema.json", import.meta.url);
writeFileSync(file, `${JSON.stringify(policySchema, null, 2)}\n`);
