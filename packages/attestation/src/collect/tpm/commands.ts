/**
 * TPM 2.0 commands, marshalled by hand: the few that make a quote. Source: TCG TPM 2.0 Library, part 3
 * (Commands), sections named below; part 1, section 18 for the layout. All numbers are big-endian.
 */
import { concat } from "@vivarium/core";
import { AttestationError } from "../../errors.ts";
import { type ByteReader, readerOf } from "../../reader.ts";
import { tpmAlgorithms } from "../../tpm/structures.ts";
import type { TpmDevice } from "./device.ts";

/** TPM_CC (part 2, 6.5.2). */
const commands = {
  nvDefineSpace: 0x12a,
  createPrimary: 0x131,
  nvWrite: 0x137,
  nvRead: 0x14e,
  quote: 0x158,
  flushContext: 0x165,
  nvReadPublic: 0x169,
  readPublic: 0x173,
  pcrRead: 0x17e,
} as const;
type CommandName = keyof typeof commands;

/** TPM_RH (part 2, 7.4). */
export const hierarchies = { owner: 0x4000_0001, endorsement: 0x4000_000b } as const;

const tags = { plain: 0x8001, sessions: 0x8002 } as const;
/** TPM_RC_RETRY, TPM_RC_YIELDED, TPM_RC_TESTING: the same command will do in a moment. */
const again: readonly number[] = [0x922, 0x908, 0x90a];
const attempts = 20;
const retryMs = 50;
/** An empty password (TPM_RS_PW): hierarchies and keys as they come. */
const emptyPassword = Uint8Array.of(0, 0, 0, 9, 0x40, 0, 0, 9, 0, 0, 1, 0, 0);

const u16 = (value: number): Uint8Array => Uint8Array.of(value >> 8, value & 0xff);
const u32 = (value: number): Uint8Array =>
  Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
const sized = (bytes: Uint8Array): Uint8Array => concat(u16(bytes.length), bytes);
const empty = new Uint8Array(2);

interface Request {
  readonly handles?: readonly number[];
  /** Authorised with the empty password. */
  readonly authorised?: boolean;
  readonly parameters: Uint8Array;
  /** Handles in the response. */
  readonly answers?: number;
}

interface Response {
  readonly handles: readonly number[];
  readonly parameters: ByteReader;
}

async function run(device: TpmDevice, name: CommandName, request: Request): Promise<Response> {
  const { handles = [], authorised = false, parameters, answers = 0 } = request;
  const body = concat(...handles.map(u32), ...(authorised ? [emptyPassword] : []), parameters);
  const command = concat(
    u16(authorised ? tags.sessions : tags.plain),
    u32(10 + body.length),
    u32(commands[name]),
    body,
  );
  for (let attempt = 1; ; attempt++) {
    const reader = readerOf(`Response to TPM2_${name}`, await device.transmit(command));
    const tag = reader.u16be("tag");
    reader.u32be("size");
    const code = reader.u32be("response code");
    if (again.includes(code) && attempt < attempts) {
      await new Promise((resolve) => setTimeout(resolve, retryMs));
      continue;
    }
    if (code !== 0) throw failure(device, name, code);
    const found = Array.from({ length: answers }, () => reader.u32be("handle"));
    if (tag !== tags.sessions) return { handles: found, parameters: reader };
    const length = reader.u32be("size of the parameters");
    return {
      handles: found,
      parameters: readerOf(`Response to TPM2_${name}`, reader.bytes("parameters", length)),
    };
  }
}

/** Format-one codes carry the number of a handle, parameter or session in their upper bits. */
function failure(device: TpmDevice, name: string, code: number): AttestationError {
  const plain = (code & 0x80) === 0 ? code : code & 0xbf;
  const known: Readonly<Record<number, string>> = {
    139: "there is no such handle",
    142: "it has another password than the empty one",
    152: "the scheme is not the key's",
    156: "the key is not one that attests",
    331: "that index is not written yet",
    329: "reading that index is not permitted",
    2306: "its memory is full; take /dev/tpmrm0, which makes room",
    2337: "locked out after failed attempts",
  };
  const reason = known[plain] ?? known[code & 0xbf] ?? "see tpm2_rc_decode";
  const hex = `0x${code.toString(16)}`;
  return new AttestationError(
    "unavailable",
    `TPM ${device.name} refuses TPM2_${name} with code ${hex}: ${reason}.`,
  );
}

const part2b = (reader: ByteReader, what: string): Uint8Array =>
  new Uint8Array(reader.bytes(what, reader.u16be(`size of ${what}`)));

/** TPM2_ReadPublic (12.4). @returns TPMT_PUBLIC. */
export async function readPublic(device: TpmDevice, handle: number): Promise<Uint8Array> {
  const { parameters } = await run(device, "readPublic", {
    handles: [handle],
    parameters: new Uint8Array(0),
  });
  return part2b(parameters, "public area");
}

/**
 * A restricted signing key of the curve P-256 with ECDSA and SHA-256, as TCG's AK template has it:
 * fixedTPM, fixedParent, sensitiveDataOrigin, userWithAuth, noDA, restricted, sign.
 */
const akTemplate = concat(
  u16(tpmAlgorithms.ecc),
  u16(tpmAlgorithms.sha256),
  u32(0x0005_0472),
  empty,
  u16(tpmAlgorithms.null),
  u16(tpmAlgorithms.ecdsa),
  u16(tpmAlgorithms.sha256),
  u16(0x0003),
  u16(tpmAlgorithms.null),
  empty,
  empty,
);

export interface TpmKey {
  readonly handle: number;
  /** TPMT_PUBLIC. */
  readonly publicArea: Uint8Array;
}

/**
 * TPM2_CreatePrimary (24.1) of an attestation key in the endorsement hierarchy: the same key each time
 * as long as the TPM's endorsement seed lives, so that nothing needs to be stored.
 */
export async function createAk(device: TpmDevice): Promise<TpmKey> {
  const sensitive = concat(empty, empty);
  const { handles, parameters } = await run(device, "createPrimary", {
    handles: [hierarchies.endorsement],
    authorised: true,
    parameters: concat(sized(sensitive), sized(akTemplate), empty, u32(0)),
    answers: 1,
  });
  return { handle: handles[0] as number, publicArea: part2b(parameters, "public area") };
}

/** TPM2_FlushContext (28.4). */
export async function flushContext(device: TpmDevice, handle: number): Promise<void> {
  await run(device, "flushContext", { parameters: u32(handle) });
}

/** TPML_PCR_SELECTION of one bank; three octets of bits. */
function selection(bank: number, indices: readonly number[]): Uint8Array {
  const bits = new Uint8Array(3);
  for (const index of indices) bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7));
  return concat(u32(1), u16(bank), Uint8Array.of(3), bits);
}

export interface TpmQuoted {
  /** TPMS_ATTEST. */
  readonly message: Uint8Array;
  /** TPMT_SIGNATURE. */
  readonly signature: Uint8Array;
}

/** TPM2_Quote (18.4) with the key's own scheme. */
export async function quote(
  device: TpmDevice,
  key: number,
  qualifyingData: Uint8Array,
  bank: number,
  indices: readonly number[],
): Promise<TpmQuoted> {
  const { parameters } = await run(device, "quote", {
    handles: [key],
    authorised: true,
    parameters: concat(sized(qualifyingData), u16(tpmAlgorithms.null), selection(bank, indices)),
  });
  const message = part2b(parameters, "quote");
  return { message, signature: new Uint8Array(parameters.bytes("signature", parameters.left)) };
}

/** TPM2_PCR_Read (22.4), as often as it takes: a TPM gives eight at most at a time. */
export async function readPcrs(
  device: TpmDevice,
  bank: number,
  indices: readonly number[],
): Promise<ReadonlyMap<number, Uint8Array>> {
  const values = new Map<number, Uint8Array>();
  for (let missing = [...indices]; missing.length > 0; ) {
    const { parameters } = await run(device, "pcrRead", { parameters: selection(bank, missing) });
    parameters.u32be("update counter");
    const given = selectedIn(parameters, bank);
    const count = parameters.u32be("count of digests");
    if (count === 0 || count !== given.length || !given.every((pcr) => missing.includes(pcr))) {
      throw new AttestationError(
        "unavailable",
        `TPM ${device.name} does not give PCR ${missing.join(", ")} of that bank: is the bank active?`,
      );
    }
    for (const index of given) values.set(index, part2b(parameters, "PCR"));
    missing = missing.filter((index) => !values.has(index));
  }
  return values;
}

function selectedIn(reader: ByteReader, bank: number): readonly number[] {
  const count = reader.u32be("count of selections");
  if (count > 1) throw new AttestationError("malformed", "The TPM selects other banks.");
  if (count === 0) return [];
  const hash = reader.u16be("bank");
  const bits = reader.bytes("selection", reader.u8("size of the selection"));
  if (hash !== bank || bits.length > 4) {
    throw new AttestationError("malformed", "The TPM selects another bank.");
  }
  return [...bits].flatMap((byte, i) =>
    Array.from({ length: 8 }, (_, bit) => bit)
      .filter((bit) => (byte >> bit) & 1)
      .map((bit) => 8 * i + bit),
  );
}

/** Bytes of an NV index that go in one command on every TPM. */
const nvChunkBytes = 512;
const maxNvBytes = 16 * 1024;

/** TPM2_NV_ReadPublic (31.6) and TPM2_NV_Read (31.13), by the owner's empty password. */
export async function nvRead(device: TpmDevice, index: number): Promise<Uint8Array> {
  const { parameters } = await run(device, "nvReadPublic", {
    handles: [index],
    parameters: new Uint8Array(0),
  });
  const area = readerOf("NV public area", part2b(parameters, "NV public area"));
  area.bytes("index, name algorithm and attributes", 10);
  area.bytes("policy", area.u16be("size of the policy"));
  const size = area.u16be("size of the index");
  if (size > maxNvBytes) throw new AttestationError("malformed", "The NV index is too big.");
  const out = new Uint8Array(size);
  for (let offset = 0; offset < size; ) {
    const wanted = Math.min(nvChunkBytes, size - offset);
    const response = await run(device, "nvRead", {
      handles: [hierarchies.owner, index],
      authorised: true,
      parameters: concat(u16(wanted), u16(offset)),
    });
    const chunk = part2b(response.parameters, "NV data");
    if (chunk.length !== wanted) {
      throw new AttestationError("malformed", "The TPM gives less of an NV index than it has.");
    }
    out.set(chunk, offset);
    offset += chunk.length;
  }
  return out;
}

/**
 * TPM2_NV_DefineSpace (31.3) of an ordinary index that the owner writes and anybody who has its empty password
 * reads: ownerWrite, ownerRead, authRead, authWrite, noDA.
 */
export async function nvDefine(device: TpmDevice, index: number, size: number): Promise<void> {
  const area = concat(u32(index), u16(tpmAlgorithms.sha256), u32(0x0206_0006), empty, u16(size));
  await run(device, "nvDefineSpace", {
    handles: [hierarchies.owner],
    authorised: true,
    parameters: concat(empty, sized(area)),
  });
}

/** TPM2_NV_Write (31.7) from its beginning, by the owner's empty password. */
export async function nvWrite(device: TpmDevice, index: number, data: Uint8Array): Promise<void> {
  await run(device, "nvWrite", {
    handles: [hierarchies.owner, index],
    authorised: true,
    parameters: concat(sized(data), u16(0)),
  });
}
