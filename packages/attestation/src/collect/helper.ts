/**
 * TEEs whose devices take no plain reads and writes: one small C program asks them. It is compiled when it
 * is needed, by the machine's own compiler, from the source in this package.
 */
import { execFile } from "node:child_process";
import { access, constants, mkdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AttestationError } from "../errors.ts";
import type { Attester, Evidence, EvidenceType } from "../evidence.ts";

/** What the program asks, and where. */
export const helperDevices = {
  csv: "/dev/csv-guest",
  snp: "/dev/sev-guest",
  nitro: "/dev/nsm",
  occlum: "/dev/sgx",
} as const;
export type HelperKind = keyof typeof helperDevices;

export interface HelperAttesterOptions {
  readonly kind: HelperKind;
  /** Path of the compiled program, as {@link buildTeeReport} gives it. */
  readonly program: string;
  /** Default: the kernel's path. */
  readonly device?: string;
  /** Of one report. Default 30,000. */
  readonly timeoutMs?: number;
  /** PEM or DER beside a CSV report: HSK, CEK and PEK. */
  readonly certificates?: Uint8Array;
}

const types: Readonly<Record<HelperKind, EvidenceType>> = {
  csv: "csv",
  snp: "snp",
  nitro: "nitro",
  occlum: "sgx",
};
const maxReportBytes = 128 * 1024;

/** @throws AttestationError `unavailable` if the device is absent, naming it. */
export async function helperAttester(options: HelperAttesterOptions): Promise<Attester> {
  const { kind, program, device = helperDevices[kind], timeoutMs = 30_000 } = options;
  for (const [path, mode] of [
    [device, constants.F_OK],
    [program, constants.X_OK],
  ] as const) {
    await access(path, mode).catch((cause: unknown) => {
      throw new AttestationError("unavailable", `${path} is absent or not permitted.`, { cause });
    });
  }
  return {
    type: types[kind],
    async collect(reportData, { signal } = {}) {
      if (reportData.length !== 64) {
        throw new AttestationError("malformed", "Report data has 64 bytes.");
      }
      const output = await run(program, [kind, device], reportData, timeoutMs, signal);
      return evidenceOf(kind, output, options.certificates);
    },
  };
}

function evidenceOf(kind: HelperKind, output: Uint8Array, given: Uint8Array | undefined): Evidence {
  if (kind !== "snp") {
    const attachments = given === undefined ? {} : { certificates: given };
    return { type: types[kind], bytes: output, attachments };
  }
  const size = output.length < 4 ? -1 : new DataView(output.buffer).getUint32(0, true);
  if (size <= 0 || size > output.length - 4) {
    throw new AttestationError("unavailable", "The SNP report is cut off.");
  }
  const certificates = output.slice(4 + size);
  return {
    type: "snp",
    bytes: output.slice(4, 4 + size),
    attachments: certificates.some((byte) => byte !== 0) ? { certificates } : {},
  };
}

function run(
  program: string,
  args: readonly string[],
  input: Uint8Array,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      program,
      args,
      { encoding: "buffer", env: {}, maxBuffer: maxReportBytes, timeout, signal },
      (cause, stdout, stderr) => {
        if (cause === null) return resolve(new Uint8Array(stdout));
        const said = stderr
          .toString("utf8")
          .trim()
          .replaceAll(/[^\x20-\x7e]/g, "?")
          .slice(0, 200);
        const message = `${args[1]} gives no report: ${said || "no answer"}.`;
        reject(new AttestationError("unavailable", message, { cause }));
      },
    );
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

const source = fileURLToPath(new URL("../../native/tee-report.c", import.meta.url));

/**
 * Compiles the program into a directory, or finds it there.
 * @returns its path.
 * @throws AttestationError `unavailable` where there is no C compiler.
 */
export async function buildTeeReport(directory: string): Promise<string> {
  const program = join(directory, "tee-report");
  if (
    await access(program, constants.X_OK).then(
      () => true,
      () => false,
    )
  )
    return program;
  await mkdir(dirname(program), { recursive: true, mode: 0o700 });
  // Complete or absent: two processes may build it at once.
  const draft = `${program}.${process.pid}`;
  try {
    await new Promise<void>((resolve, reject) =>
      execFile("cc", ["-O2", "-o", draft, source], { timeout: 60_000 }, (error) =>
        error === null ? resolve() : reject(error),
      ),
    );
    await rename(draft, program);
  } catch (cause) {
    await rm(draft, { force: true });
    throw new AttestationError(
      "unavailable",
      "The program that asks /dev/csv-guest, /dev/sev-guest, /dev/nsm and Occlum cannot be compiled: install a C compiler (cc), or take configfs-tsm or the CoCo agent.",
      { cause },
    );
  }
  return program;
}
