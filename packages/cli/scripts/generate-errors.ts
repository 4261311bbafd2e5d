/** Writes docs/errors.md from the catalogue. Run: `npx tsx packages/cli/scripts/generate-errors.ts`. */
import { mkdir, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { errorsDocument } from "../src/errors/document.ts";

const target = fileURLToPath(new URL("../../../docs/errors.md", import.meta.url));
await mkdir(new URL("../../../docs/", import.meta.url), { recursive: true });
await writeFile(target, errorsDocument());
