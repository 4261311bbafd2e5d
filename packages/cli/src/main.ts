#!/usr/bin/env node
/** Entry of the `vivarium` command: the only place that reads argv. */
import { processIo } from "./io.ts";
import { run } from "./program.ts";

// `vivarium … | head`: the reader has gone, which is not a fault of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? 0 : 1);
});

// Not process.exit: what was written to a pipe would be cut off.
process.exitCode = await run(process.argv.slice(2), processIo());
