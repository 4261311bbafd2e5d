import { CliError } from "../errors/error.ts";
import type { Io } from "../io.ts";
import type { PsiRunOptions } from "./options.ts";

export async function runPsi(_options: PsiRunOptions, _io: Io): Promise<number> {
  throw new CliError("bad-installation", "This build does not contain the psi workload.");
}
