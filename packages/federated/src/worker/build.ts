/** Builds the bundle of the federated trust domain into `dist/bundle`. A program of the build. */
import { fileURLToPath } from "node:url";
import { buildBundle } from "@vivarium/workers/bundle";

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

await buildBundle({ name: "federated", entry: here("./main.js"), outdir: here("../bundle") });
