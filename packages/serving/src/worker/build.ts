/** Builds the bundle of the serving trust domain into `dist/bundle`. A program of the build. */
import { fileURLToPath } from "node:url";
import { buildBundle } from "@vivarium/workers/bundle";

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));

await buildBundle({ name: "serving", entry: here("./main.js"), outdir: here("../bundle") });
