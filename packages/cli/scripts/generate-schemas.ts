/** Writes `schema/*.json` from the TypeBox schemas. Run: `npm run docs:generate`. */
import { mkdir, writeFile } from "node:fs/promises";
import { schemaFiles } from "../src/config/schemas.ts";

const target = new URL("../schema/", import.meta.url);
await mkdir(target, { recursive: true });
for (const [name, text] of schemaFiles()) await writeFile(new URL(name, target), text);
