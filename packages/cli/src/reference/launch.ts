/** What `reference launch` does: a launch digest from firmware, kernel and processors. */
import {
  cpuSignatures,
  type DirectBoot,
  type Machine,
  measureLimits,
  sevEsLaunchDigest,
  sevLaunchDigest,
  snpLaunchDigest,
} from "@vivarium/attestation/measure";
import type { ReferenceRecord, ReferenceSource } from "@vivarium/attestation/reference";
import { fromHex, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Action, Context } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { fileLimits, readBounded } from "../files.ts";
import { instant, nameFor, recordJson, sourceOf, writeReferences } from "./files.ts";

export interface LaunchOptions {
  readonly type?: "snp" | "sev-es" | "sev";
  readonly firmware: string;
  readonly firmwareDigest?: string;
  readonly kernel?: string;
  readonly initrd?: string;
  readonly commandLine?: string;
  readonly processors?: string;
  readonly cpu?: string;
  readonly hypervisor?: Machine["hypervisor"];
  readonly features?: string;
  readonly name?: string;
  readonly output?: string;
}

export const launch: Action<LaunchOptions> = async (context, options) => {
  const { type = "snp" } = options;
  const name = nameFor(options);
  requireMeaning(type, options);
  const firmware = await readBounded(
    context.path(options.firmware),
    "firmware",
    measureLimits.firmwareBytes,
  );
  const sources = [await sourceOf(options.firmware, firmware)];
  const boot = await bootOf(context, options, sources);
  const start = { firmware, ...(boot === undefined ? {} : { boot }) };
  const digest = toHex(await digestOf(type, start, options));
  const reference: ReferenceRecord = {
    ...{ name, type, measurements: { measurement: [digest] }, minimumSvn: {} },
    origin: { how: "computed", at: instant(context.io.now()), sources },
  };
  const written = await writeReferences(context, options.output, [reference]);
  context.print({ type, digest, output: written, reference: recordJson(reference) }, [
    digest,
    ...(written === null ? [] : [`Wrote ${written}.`]),
  ]);
  return 0;
};

async function digestOf(
  type: "snp" | "sev-es" | "sev",
  start: { readonly firmware: Uint8Array; readonly boot?: DirectBoot },
  options: LaunchOptions,
): Promise<Uint8Array> {
  const crypto = nodeCrypto();
  if (type === "sev") return await sevLaunchDigest(crypto, start);
  const processors = numberOf("--processors", options.processors ?? "1", measureLimits.processors);
  const machine = machineOf(options);
  if (type === "sev-es") return await sevEsLaunchDigest(crypto, { ...start, machine, processors });
  const features = numberOf("--features", options.features ?? "0x1", Number.MAX_SAFE_INTEGER);
  const { firmwareDigest } = options;
  return await snpLaunchDigest(crypto, {
    ...{ ...start, machine, processors, features },
    ...(firmwareDigest === undefined ? {} : { firmwareDigest: digestBytes(firmwareDigest) }),
  });
}

/** Options that would be ignored are mistakes: the digest would not be of what the user described. */
function requireMeaning(type: "snp" | "sev-es" | "sev", options: LaunchOptions): void {
  const idle = [
    ...(options.kernel === undefined ? (["initrd", "commandLine"] as const) : []),
    ...(type === "sev" ? (["processors", "cpu", "hypervisor"] as const) : []),
    ...(type === "snp" ? [] : (["features", "firmwareDigest"] as const)),
  ].filter((option) => options[option] !== undefined);
  if (
    options.hypervisor !== undefined &&
    options.hypervisor !== "qemu" &&
    options.cpu !== undefined
  )
    throw new CliError("usage", `--cpu is for QEMU: ${options.hypervisor} does not measure it.`);
  if (idle.length === 0) return;
  const names = idle.map(
    (option) => `--${option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
  );
  throw new CliError("usage", `${names.join(", ")}: not measured in this launch, leave out.`);
}

async function bootOf(
  context: Context,
  { kernel, initrd, commandLine }: LaunchOptions,
  sources: ReferenceSource[],
): Promise<DirectBoot | undefined> {
  if (kernel === undefined) return undefined;
  const read = async (file: string, what: string): Promise<Uint8Array> => {
    const bytes = await readBounded(context.path(file), what, fileLimits.boot);
    sources.push(await sourceOf(file, bytes));
    return bytes;
  };
  return {
    kernel: await read(kernel, "kernel"),
    ...(initrd === undefined ? {} : { initrd: await read(initrd, "initrd") }),
    ...(commandLine === undefined ? {} : { commandLine }),
  };
}

function machineOf({ hypervisor = "qemu", cpu }: LaunchOptions): Machine {
  if (hypervisor !== "qemu") return { hypervisor };
  if (cpu === undefined) {
    throw new CliError(
      "usage",
      `--cpu is missing: one of ${[...cpuSignatures.keys()].join(", ")}.`,
    );
  }
  const processor = cpuSignatures.get(cpu);
  if (processor !== undefined) return { hypervisor, processor };
  if (!/^0x[0-9a-f]{1,8}$/i.test(cpu)) {
    const known = [...cpuSignatures.keys()].join(", ");
    throw new CliError("usage", `--cpu must be a signature such as 0xa00f11, or one of ${known}.`);
  }
  return { hypervisor, processor: Number(cpu) };
}

function numberOf(option: string, text: string, max: number): number {
  const value = /^(?:\d{1,16}|0x[0-9a-f]{1,14})$/i.test(text) ? Number(text) : Number.NaN;
  if (!Number.isSafeInteger(value) || value < 0 || value > max) {
    throw new CliError("usage", `${option} must be a number of at most ${max}.`);
  }
  return value;
}

function digestBytes(text: string): Uint8Array {
  if (!/^[0-9a-fA-F]{96}$/.test(text)) {
    throw new CliError("usage", "--firmware-digest must be 96 hexadecimal digits.");
  }
  return fromHex(text);
}
