/** Which TEE is under this process. `simulated` is never the answer: it must be asked for. */
import { AttestationError } from "../errors.ts";
import type { Attester } from "../evidence.ts";
import { azureVtpmAttester, isAzure } from "./azure.ts";
import { type CocoOptions, cocoAttester } from "./coco.ts";
import { configfsAttester } from "./configfs.ts";
import { type PlatformFiles, platformFiles } from "./files.ts";
import { gramineAttester } from "./gramine.ts";
import { buildTeeReport, type HelperKind, helperAttester, helperDevices } from "./helper.ts";
import { sevSecretAttester } from "./sev.ts";
import { type TpmAttesterOptions, tpmAttester } from "./tpm/attester.ts";
import { openTpm } from "./tpm/device.ts";

/** Ways to evidence, in the order they are tried: what isolates comes before what only measures. */
export const collectorNames = [
  "gramine",
  "occlum",
  "configfs",
  "csv",
  "snp",
  "sev",
  "azure",
  "tpm",
  "nitro",
  "coco",
] as const;
export type CollectorName = (typeof collectorNames)[number];

export interface DetectOptions {
  readonly files?: PlatformFiles;
  /** Only this one, and an error if it is not there. Default: the first that works. */
  readonly only?: CollectorName;
  /** Where the helper program is compiled into, for the devices that need it. */
  readonly helperDirectory: string;
  /** Whether this process runs in Occlum: `OCCLUM` is set in its environment. */
  readonly occlum?: boolean;
  readonly tpm?: TpmAttesterOptions;
  readonly coco?: CocoOptions;
}

export interface Detected {
  readonly name: CollectorName;
  readonly attester: Attester;
}

export const defaultTpmAddress = "/dev/tpmrm0";

/**
 * The attester of this machine.
 * @throws AttestationError `unavailable` if there is none, with what each lacks; it never falls to
 * `simulated` by itself, as CoCo's agent does.
 */
export async function detectAttester(options: DetectOptions): Promise<Detected> {
  const names = options.only === undefined ? collectorNames : [options.only];
  const problems: string[] = [];
  for (const name of names) {
    try {
      return { name, attester: await attesterOf(name, options) };
    } catch (error) {
      if (!(error instanceof AttestationError)) throw error;
      problems.push(`${name}: ${error.message}`);
    }
  }
  throw new AttestationError(
    "unavailable",
    `No TEE and no TPM that this process may use. ${problems.join(" ")}`,
  );
}

async function attesterOf(name: CollectorName, options: DetectOptions): Promise<Attester> {
  const { files = platformFiles(), tpm = { address: defaultTpmAddress } } = options;
  switch (name) {
    case "gramine":
      return await gramineAttester({ files });
    case "occlum":
      if (options.occlum !== true) throw absent("OCCLUM", "is not set: this is no Occlum");
      return await helper("occlum", options, files);
    case "configfs":
      return await configfsAttester({ files });
    case "csv":
    case "snp":
    case "nitro":
      return await helper(name, options, files);
    case "sev":
      return await sevSecretAttester({ files });
    case "azure": {
      if (!(await isAzure(files))) throw absent("/sys/class/dmi/id", "names no Azure machine");
      return await azureVtpmAttester({ address: tpm.address });
    }
    case "tpm": {
      // Opened once: an attester that cannot be used must not be the answer.
      await using _device = await openTpm(tpm);
      return tpmAttester(tpm);
    }
    case "coco":
      return await cocoAttester(options.coco);
    default:
      return name satisfies never;
  }
}

async function helper(
  kind: HelperKind,
  { helperDirectory }: DetectOptions,
  files: PlatformFiles,
): Promise<Attester> {
  const device = helperDevices[kind];
  // Before anything is compiled.
  if (!(await files.exists(device))) throw absent(device, "is absent");
  return await helperAttester({ kind, program: await buildTeeReport(helperDirectory) });
}

function absent(what: string, reason: string): AttestationError {
  return new AttestationError("unavailable", `${what} ${reason}.`);
}
