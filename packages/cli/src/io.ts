/**
 * Everything a command may touch of the process it runs in, as a parameter: tests drive commands
 * in-process with their own. Only `main.ts` makes the real one.
 */

/** A stream that takes text. */
export interface Sink {
  write(text: string): void;
  readonly isTty: boolean;
  /** Width in characters; 80 where unknown. */
  readonly columns: number;
}

export interface Io {
  /** Results, and nothing else: safe to pipe. */
  readonly stdout: Sink;
  /** Progress, notes and errors. */
  readonly stderr: Sink;
  /** True if a person can answer a question. */
  readonly interactive: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute; relative paths of arguments are relative to it. */
  readonly cwd: string;
  /** Aborts when the user interrupts the command (SIGINT, SIGTERM). */
  readonly signal: AbortSignal;
  /** Milliseconds since the epoch. */
  now(): number;
  /** One line of answer, without its line end. Called only if `interactive`. */
  ask(question: string): Promise<string>;
}

/** The real process. */
export function processIo(): Io {
  const abort = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    // Once: a second Ctrl-C ends the process at once, as users expect.
    process.once(signal, () => abort.abort(new Error(`Stopped by ${signal}.`)));
  }
  return {
    stdout: sink(process.stdout),
    stderr: sink(process.stderr),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    env: process.env,
    cwd: process.cwd(),
    signal: abort.signal,
    now: () => Date.now(),
    async ask(question) {
      const { createInterface } = await import("node:readline/promises");
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      try {
        return await lines.question(question, { signal: abort.signal });
      } finally {
        lines.close();
      }
    },
  };
}

function sink(stream: NodeJS.WriteStream): Sink {
  return {
    write: (text) => void stream.write(text),
    isTty: stream.isTTY === true,
    get columns() {
      return stream.columns ?? 80;
    },
  };
}

/** Languages of messages. Everything else is English. */
export type Language = "en" | "zh";

/** By POSIX: the first of LC_ALL, LC_MESSAGES, LANG that is set and not empty decides. */
export function languageOf(env: Io["env"]): Language {
  const { LC_ALL, LC_MESSAGES, LANG } = env;
  const locale = [LC_ALL, LC_MESSAGES, LANG].find((value) => value !== undefined && value !== "");
  return locale?.toLowerCase().startsWith("zh") === true ? "zh" : "en";
}

/**
 * Text that is safe on a terminal and stays on one line. File names, peers and libraries choose
 * parts of what is printed; an escape sequence in them could rewrite what the user sees.
 */
export function printable(text: string): string {
  // Controls (C0, DEL, C1), line and paragraph separators, and bidirectional overrides.
  return text
    .replace(/\s*[\r\n\u2028\u2029]+\s*/g, " ")
    .replace(/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}
