/** What `psi run` and `psi demo` are started with. */
import type { PsiConfig } from "../config/psi.ts";
import type { Io } from "../io.ts";
import type { State } from "../state.ts";

export interface PsiRunOptions {
  /** Checked; paths are absolute. */
  readonly config: PsiConfig;
  /** Absolute path of the configuration file, for messages. */
  readonly configPath: string;
  /** Opened: private to its owner. */
  readonly state: State;
  /** Machine-readable output: one JSON object on standard output at the end. */
  readonly json: boolean;
  readonly verbose: boolean;
  /** Only go on from a checkpoint; never begin. */
  readonly resume?: boolean;
  /** Directory of another bundle than the installed one: for the demo and tests. */
  readonly bundle?: string;
}

export interface PsiDemoOptions {
  /** Runs another command line in this process. */
  readonly run: (args: readonly string[], io: Io) => Promise<number>;
  readonly json: boolean;
  readonly verbose: boolean;
}
