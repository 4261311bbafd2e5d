import { CliError } from "../errors/error.ts";
import type { Io } from "../io.ts";
import type { PsiDemoOptions } from "./options.ts";

export async function runPsiDemo(_options: PsiDemoOptions, _io: Io): Promise<number> {
  throw new CliError("bad-installation", "This build does not contain the psi workload.");
}
