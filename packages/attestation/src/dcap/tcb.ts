/** The TCB of a quote: its level in TCB info, the TDX module, and what all of it comes to. */
import { toHex } from "@vivarium/core";
import { AttestationError } from "../errors.ts";
import type { TcbStatus } from "../evidence.ts";
import type { Examination } from "../examination.ts";
import type { EnclaveTcbLevel, TcbInfo, TcbLevel } from "./bodies.ts";
import {
  converge,
  matchEnclaveLevel,
  matchLevels,
  moduleIdentity,
  relaunchStatus,
} from "./level.ts";
import type { PlatformTcb } from "./pck.ts";
import type { Quote, TdReport } from "./quote.ts";
import { source } from "./source.ts";

/** Where the quote stands among the levels of TCB info. */
export interface QuoteTcb {
  readonly level: TcbLevel;
  /** Undefined for SGX and for modules of version 0, which have no identity of their own. */
  readonly moduleLevel: EnclaveTcbLevel | undefined;
  /** Platform, module and quoting enclave together. */
  readonly status: TcbStatus;
}

/**
 * Steps 16 and 17.
 * @param qe state of the quoting enclave.
 * @throws AttestationError `not-genuine` for a level or module that Intel does not know.
 */
export function requireTcb(
  exam: Examination,
  quote: Quote,
  info: TcbInfo,
  platform: PlatformTcb,
  qe: TcbStatus,
): QuoteTcb {
  const tdx = quote.kind !== "sgx";
  const levels = matchLevels(info, platform, tdx ? quote.body.teeTcbSvn : undefined);
  const level = tdx ? levels.tdx : levels.sgx;
  const has = tdx
    ? `TEE_TCB_SVN ${toHex(quote.body.teeTcbSvn)}, CPUSVN ${platform.components.join(".")}, PCESVN ${platform.pceSvn}`
    : `CPUSVN ${platform.components.join(".")}, PCESVN ${platform.pceSvn}`;
  exam.require(
    "dcap.tcb.supported",
    level !== undefined,
    "a TCB level that the platform reaches",
    `TCB not supported: ${has}`,
    source("17"),
  );
  const own = (level as TcbLevel).tcbStatus as TcbStatus;
  if (!tdx) {
    return { level: level as TcbLevel, moduleLevel: undefined, status: converge(own, qe) };
  }
  const moduleLevel = requireModule(exam, quote.body, info);
  const module = (moduleLevel?.tcbStatus ?? "UpToDate") as TcbStatus;
  let status = converge(own, module);
  const { teeTcbSvn2 } = quote.body;
  if (quote.kind === "td15" && teeTcbSvn2 !== undefined && status !== "Revoked") {
    const sgx = levels.sgx?.tcbStatus as TcbStatus;
    const relaunched = relaunchStatus({ info, teeTcbSvn2, sgx, tdx: status, module, qe });
    const known = relaunched !== undefined;
    exam.require(
      "tdx.module.current",
      known,
      "a current module that TCB info knows",
      `version ${teeTcbSvn2[1]}`,
      source("17.4.3"),
    );
    status = relaunched as TcbStatus;
  }
  return { level: level as TcbLevel, moduleLevel, status: converge(status, qe) };
}

/** The SEAM module: signed by whom TCB info says, and a version that it knows. */
function requireModule(
  exam: Examination,
  body: TdReport,
  info: TcbInfo,
): EnclaveTcbLevel | undefined {
  const [svn = 0, version = 0] = body.teeTcbSvn;
  const identity = version > 0 ? moduleIdentity(info, version) : undefined;
  const module = version > 0 ? identity : info.tdxModule;
  exam.require(
    "tdx.module.known",
    module !== undefined,
    `an identity of module version ${version}`,
    module === undefined ? "none" : "one",
    source("17.4.1"),
  );
  if (module === undefined) throw new AttestationError("not-genuine", "No TDX module identity.");
  const signer = toHex(body.mrSignerSeam);
  const wanted = module.mrsigner.toLowerCase();
  exam.require("tdx.module.mrsigner", signer === wanted, wanted, signer, source("16"));
  const attributes = toHex(body.seamAttributes);
  const expected = module.attributes.toLowerCase();
  const zero = /^0+$/.test(attributes);
  exam.require(
    "tdx.module.attributes",
    zero && attributes === expected,
    expected,
    attributes,
    source("16"),
  );
  if (identity === undefined) return undefined;
  const level = matchEnclaveLevel(identity.tcbLevels, svn);
  exam.require(
    "tdx.module.supported",
    level !== undefined,
    "a TCB level of the module",
    `TCB not supported: SVN ${svn}`,
    source("17.4.1"),
  );
  return level;
}
