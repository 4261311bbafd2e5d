/**
 * TCB info version 3 and enclave identity version 2, out of bodies whose signature has been
 * verified. Source: Intel PCS API v4, "Get TCB info" and "Get quoting enclave identity".
 */
import { type TSchema, Type } from "@sinclair/typebox";
import { Value } from "@sinclair/typebox/value";
import { AttestationError } from "../errors.ts";
import type { TcbStatus } from "../evidence.ts";

const status = Type.Union(
  [
    "UpToDate",
    "SWHardeningNeeded",
    "ConfigurationNeeded",
    "ConfigurationAndSWHardeningNeeded",
    "OutOfDate",
    "OutOfDateConfigurationNeeded",
    "Revoked",
  ].map((name) => Type.Literal(name)),
);
const date = Type.String({ pattern: "^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d(?:\\.\\d+)?Z$" });
const hex = (bytes: number): TSchema => Type.String({ pattern: `^[0-9a-fA-F]{${2 * bytes}}$` });
const advisories = Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 256 }));
const svn = Type.Integer({ minimum: 0, maximum: 255 });
const components = Type.Array(Type.Object({ svn }), { minItems: 16, maxItems: 16 });

const enclaveLevel = Type.Object({
  tcb: Type.Object({ isvsvn: Type.Integer({ minimum: 0, maximum: 65_535 }) }),
  tcbDate: date,
  tcbStatus: status,
  advisoryIDs: advisories,
});
const module = { mrsigner: hex(48), attributes: hex(8), attributesMask: hex(8) };

const tcbInfo = Type.Object({
  id: Type.Union([Type.Literal("SGX"), Type.Literal("TDX")]),
  version: Type.Literal(3),
  issueDate: date,
  nextUpdate: date,
  fmspc: hex(6),
  pceId: hex(2),
  tcbType: Type.Literal(0),
  tcbEvaluationDataNumber: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
  tdxModule: Type.Optional(Type.Object(module)),
  tdxModuleIdentities: Type.Optional(
    Type.Array(
      Type.Object({
        ...module,
        id: Type.String({ pattern: "^TDX_[0-9a-fA-F]{2}$" }),
        tcbLevels: Type.Array(enclaveLevel, { minItems: 1, maxItems: 256 }),
      }),
      { maxItems: 256 },
    ),
  ),
  tcbLevels: Type.Array(
    Type.Object({
      tcb: Type.Object({
        sgxtcbcomponents: components,
        pcesvn: Type.Integer({ minimum: 0, maximum: 65_535 }),
        tdxtcbcomponents: Type.Optional(components),
      }),
      tcbDate: date,
      tcbStatus: status,
      advisoryIDs: advisories,
    }),
    { minItems: 1, maxItems: 256 },
  ),
});

const enclaveIdentity = Type.Object({
  id: Type.Union([Type.Literal("QE"), Type.Literal("TD_QE")]),
  version: Type.Literal(2),
  issueDate: date,
  nextUpdate: date,
  tcbEvaluationDataNumber: Type.Integer({ minimum: 0, maximum: 1_000_000 }),
  miscselect: hex(4),
  miscselectMask: hex(4),
  attributes: hex(16),
  attributesMask: hex(16),
  mrsigner: hex(32),
  isvprodid: Type.Integer({ minimum: 0, maximum: 65_535 }),
  tcbLevels: Type.Array(enclaveLevel, { minItems: 1, maxItems: 256 }),
});

/** Times are ISO 8601; `tcbStatus` is one of Intel's words, checked by the schema. */
export interface EnclaveTcbLevel {
  readonly tcb: { readonly isvsvn: number };
  readonly tcbDate: string;
  readonly tcbStatus: TcbStatus;
  readonly advisoryIDs?: readonly string[];
}

interface ModuleSigner {
  readonly mrsigner: string;
  readonly attributes: string;
  readonly attributesMask: string;
}

export interface TdxModuleIdentity extends ModuleSigner {
  readonly id: string;
  readonly tcbLevels: readonly EnclaveTcbLevel[];
}

export interface TcbLevel {
  readonly tcb: {
    readonly sgxtcbcomponents: readonly { readonly svn: number }[];
    readonly pcesvn: number;
    readonly tdxtcbcomponents?: readonly { readonly svn: number }[];
  };
  readonly tcbDate: string;
  readonly tcbStatus: TcbStatus;
  readonly advisoryIDs?: readonly string[];
}

interface SignedDocument {
  readonly issueDate: string;
  readonly nextUpdate: string;
  readonly tcbEvaluationDataNumber: number;
}

export interface TcbInfo extends SignedDocument {
  readonly id: string;
  readonly fmspc: string;
  readonly pceId: string;
  readonly tdxModule?: ModuleSigner;
  readonly tdxModuleIdentities?: readonly TdxModuleIdentity[];
  readonly tcbLevels: readonly TcbLevel[];
}

export interface EnclaveIdentity extends SignedDocument {
  readonly id: string;
  readonly miscselect: string;
  readonly miscselectMask: string;
  readonly attributes: string;
  readonly attributesMask: string;
  readonly mrsigner: string;
  readonly isvprodid: number;
  readonly tcbLevels: readonly EnclaveTcbLevel[];
}

/** @throws AttestationError `malformed` for another version or form. */
export function parseTcbInfo(text: string): TcbInfo {
  return parse("TCB info", tcbInfo, text) as TcbInfo;
}

/** @throws AttestationError `malformed` for another version or form. */
export function parseEnclaveIdentity(text: string): EnclaveIdentity {
  return parse("QE identity", enclaveIdentity, text) as EnclaveIdentity;
}

function parse(what: string, schema: TSchema, text: string): unknown {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw new AttestationError("malformed", `The ${what} is not JSON.`, { cause });
  }
  if (Value.Check(schema, document)) return document;
  const [error] = [...Value.Errors(schema, document)];
  const where = error === undefined ? "" : ` at ${error.path || "/"}: ${error.message}`;
  throw new AttestationError("malformed", `The ${what} does not have its form${where}.`);
}
