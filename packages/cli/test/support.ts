/** Runs commands in this process, with a directory of their own and everything they print kept. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import type { ExitCode } from "../src/errors/entry.ts";
import type { Io } from "../src/io.ts";
import { run } from "../src/program.ts";

export interface Outcome {
  readonly exit: ExitCode;
  readonly out: string;
  readonly err: string;
}

export interface Cli {
  readonly directory: string;
  /** Runs one command with `--state` in this directory's `state`. */
  run(...args: string[]): Promise<Outcome>;
  /** The same, with `--json`; standard output, or the error, as data. */
  json(...args: string[]): Promise<{ readonly exit: ExitCode; readonly value: unknown }>;
  write(name: string, text: string | Uint8Array): string;
}

export interface CliOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly answer?: string;
  readonly now?: () => number;
}

/** Output kept, nothing on a terminal, a clock that can be set. */
export function fakeIo(directory: string, options: CliOptions = {}) {
  let out = "";
  let err = "";
  const io: Io = {
    stdout: {
      isTty: false,
      columns: 80,
      write(text) {
        out += text;
      },
    },
    stderr: {
      isTty: false,
      columns: 80,
      write(text) {
        err += text;
      },
    },
    interactive: options.answer !== undefined,
    env: options.env ?? {},
    cwd: directory,
    signal: new AbortController().signal,
    now: options.now ?? (() => Date.now()),
    ask: async () => options.answer ?? "",
  };
  return { io, printed: () => ({ out, err }) };
}

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-cli-"));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export function createCli(options: CliOptions = {}): Cli {
  const directory = temporaryDirectory();
  const invoke = async (args: readonly string[]): Promise<Outcome> => {
    const { io, printed } = fakeIo(directory, options);
    const state = args.includes("--state") ? [] : ["--state", "state"];
    const exit = await run([...args, ...state], io);
    return { exit, ...printed() };
  };
  return {
    directory,
    run: (...args) => invoke(args),
    async json(...args) {
      const { exit, out, err } = await invoke([...args, "--json"]);
      return { exit, value: JSON.parse(out === "" ? err : out) as unknown };
    },
    write(name, text) {
      writeFileSync(join(directory, name), text);
      return name;
    },
  };
}

/** One line that begins as every error does. */
export const errorLine: RegExp = /^error\[[a-z0-9]+\/[a-z0-9-]+\]: [^\n]+\n$/;
