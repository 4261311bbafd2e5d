/** One party of the demo: `vivarium psi run --json` in a process of its own, with its own state. */
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { PsiWorkerEvent } from "@vivarium/psi";
import type { ProgressEvent } from "../progress.ts";

export type PartyLine =
  | { readonly progress: ProgressEvent }
  | { readonly event: PsiWorkerEvent }
  | { readonly note: string }
  | { readonly error: { readonly id: string; readonly message: string } };

export interface PartyEnd {
  readonly exit: number;
  /** The object that the run printed; undefined if it failed. */
  readonly result: Readonly<Record<string, unknown>> | undefined;
  /** `domain/code` of the error. */
  readonly error: { readonly id: string; readonly message: string } | undefined;
}

export interface PartyProcess {
  readonly ended: Promise<PartyEnd>;
  stop(): void;
}

export function startParty(
  options: {
    readonly config: string;
    readonly state: string;
    readonly bundle?: string;
    readonly signal: AbortSignal;
  },
  onLine: (line: PartyLine) => void,
): PartyProcess {
  const main = fileURLToPath(new URL("../main.js", import.meta.url));
  const bundle = options.bundle === undefined ? [] : ["--bundle", options.bundle];
  const { config, state } = options;
  const args = [main, "psi", "run", "--json", "--config", config, "--state", state, ...bundle];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  const stop = (): void => void child.kill("SIGTERM");
  options.signal.addEventListener("abort", stop, { once: true });
  let output = "";
  let error: PartyEnd["error"];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  createInterface({ input: child.stderr }).on("line", (text) => {
    const line = parse(text);
    if (line === undefined) return;
    if ("error" in line) error = line.error;
    onLine(line);
  });
  const ended = new Promise<PartyEnd>((resolve) => {
    child.on("error", () => resolve({ exit: 1, result: undefined, error }));
    child.on("close", (code) => {
      options.signal.removeEventListener("abort", stop);
      resolve({ exit: code ?? 1, result: code === 0 ? JSON.parse(output) : undefined, error });
    });
  });
  return { ended, stop };
}

function parse(text: string): PartyLine | undefined {
  try {
    return JSON.parse(text) as PartyLine;
  } catch {
    return undefined;
  }
}
