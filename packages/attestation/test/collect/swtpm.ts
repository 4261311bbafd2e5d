/** A software TPM of one's own, where Debian's `swtpm` is installed; CI installs it. */
import { spawn, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface SoftwareTpm extends AsyncDisposable {
  /** As `openTpm` takes it. */
  readonly address: string;
  /** Runs a program of tpm2-tools on this TPM. @throws Error with what it said. */
  tool(name: string, ...args: readonly string[]): string;
}

const has = (program: string): boolean =>
  spawnSync(program, ["--version"], { stdio: "ignore" }).error === undefined;

/** Why tests with a TPM are skipped, or undefined. */
export const noTpm: string | undefined =
  has("swtpm") && has("tpm2_pcrread")
    ? undefined
    : "swtpm and tpm2-tools are not installed (apt-get install swtpm tpm2-tools)";
if (noTpm !== undefined) console.warn(`SKIPPED: tests on a software TPM: ${noTpm}`);

/** A fresh TPM with seeds of its own. */
export async function startTpm(): Promise<SoftwareTpm> {
  const directory = mkdtempSync(join(tmpdir(), "vivarium-swtpm-"));
  const socket = join(directory, "data");
  // Where tpm2-tools look for it.
  const control = `${socket}.ctrl`;
  const child = spawn(
    "swtpm",
    [
      ...["socket", "--tpm2", "--tpmstate", `dir=${directory}`],
      ...["--server", `type=unixio,path=${socket}`, "--ctrl", `type=unixio,path=${control}`],
      ...["--flags", "not-need-init,startup-clear"],
    ],
    { stdio: "ignore" },
  );
  const ended = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  for (let attempt = 0; !(await answers(control)); attempt++) {
    if (attempt === 200 || child.exitCode !== null) throw new Error("swtpm does not start");
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return {
    address: `unix:${socket}`,
    tool(name, ...args) {
      const run = spawnSync(name, args, {
        cwd: directory,
        encoding: "utf8",
        env: { ...process.env, TPM2TOOLS_TCTI: `swtpm:path=${socket}` },
      });
      if (run.status !== 0) throw new Error(`${name}: ${run.stderr}`);
      return run.stdout;
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await ended;
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}
