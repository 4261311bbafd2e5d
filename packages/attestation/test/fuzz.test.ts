/**
 * Every parser of outside bytes, on what it accepts with random changes: an error of ours or a value,
 * never another error, and bounded memory; the suite's time limit is the bound on hangs. `npm run fuzz`
 * goes on for `VIVARIUM_FUZZ_SECONDS` a parser, with `VIVARIUM_FUZZ_SEED`.
 */
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fromUtf8, utf8, VivariumError } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { beforeAll, describe, expect, test } from "vitest";
import { decodeCbor } from "../src/cbor.ts";
import { parseCcaToken } from "../src/cca/token.ts";
import { parseCsvCertificate, parseHygonCertificates } from "../src/csv/certificate.ts";
import { parseCsvReport } from "../src/csv/report.ts";
import { parseEnclaveIdentity, parseTcbInfo } from "../src/dcap/bodies.ts";
import { parseDcapCollateral } from "../src/dcap/collateral.ts";
import { parseQuote } from "../src/dcap/quote.ts";
import { replayDstackLog } from "../src/eventlog/dstack.ts";
import { parseEventLog } from "../src/eventlog/log.ts";
import { replayEventLog } from "../src/eventlog/replay.ts";
import { requireSeparators } from "../src/eventlog/separators.ts";
import { readCollateralForm, readEvidenceForm } from "../src/forms/index.ts";
import {
  decodeEvidence,
  decodePem,
  decodeStatement,
  encodeEvidence,
  encodeStatement,
} from "../src/index.ts";
import { parseNitroDocument } from "../src/nitro/verifier.ts";
import { readRaTls } from "../src/ra-tls/verify.ts";
import { parseSevAuthority, parseSevCertificate } from "../src/sev/certificate.ts";
import { parseToken as parseSimulated } from "../src/simulated/token.ts";
import { parseSnpReport } from "../src/snp/report.ts";
import { parseToken } from "../src/tokens/jws.ts";
import { parseJwks } from "../src/tokens/keys.ts";
import { decodeTpmEvidence } from "../src/tpm/container.ts";
import { parseTpmPublic, parseTpmQuote, parseTpmSignature } from "../src/tpm/structures.ts";
import { parseHclReport, parseRuntimeData } from "../src/vtpm/hcl.ts";
import { parseCertificate } from "../src/x509/certificate.ts";
import { parseCrl } from "../src/x509/crl.ts";
import { simulatedSubject } from "./simulated-subject.ts";
import { hardwareSubjects } from "./synthetic/subjects.ts";
import { syntheticTpm } from "./synthetic/tpm.ts";
import { hasVectors, vectorsPath } from "./vectors.ts";

const crypto = nodeCrypto();
const seconds = Number(process.env["VIVARIUM_FUZZ_SECONDS"] ?? "0.1");
const seed = Number(process.env["VIVARIUM_FUZZ_SEED"] ?? "1");
const maxSeedBytes = 64 * 1024;
const maxGrowth = 512 * 1024 * 1024;

type Parser = (bytes: Uint8Array) => unknown;

const json = (bytes: Uint8Array): unknown => {
  try {
    return JSON.parse(fromUtf8(bytes));
  } catch {
    // Whoever reads a document parses its JSON first; what is none never gets to the parser.
    return undefined;
  }
};

const parsers: readonly (readonly [string, Parser])[] = [
  ["evidence in any form", readEvidenceForm],
  ["collateral in any form", readCollateralForm],
  ["evidence envelope", decodeEvidence],
  ["statement", decodeStatement],
  ["quote", parseQuote],
  ["DCAP collateral", parseDcapCollateral],
  ["TCB info", (bytes) => parseTcbInfo(fromUtf8(bytes))],
  ["enclave identity", (bytes) => parseEnclaveIdentity(fromUtf8(bytes))],
  ["SNP report", parseSnpReport],
  ["CSV report", parseCsvReport],
  ["CSV certificate", (bytes) => parseCsvCertificate("PEK", bytes)],
  ["Hygon's certificates", parseHygonCertificates],
  ["SEV authority", (bytes) => parseSevAuthority("ASK", bytes)],
  ["SEV certificate", (bytes) => parseSevCertificate("PEK", bytes)],
  ["CCA token", parseCcaToken],
  ["Nitro document", parseNitroDocument],
  ["TPM evidence", decodeTpmEvidence],
  ["TPM quote", parseTpmQuote],
  ["TPM signature", parseTpmSignature],
  ["TPM public area", parseTpmPublic],
  ["HCL report", parseHclReport],
  ["runtime data", parseRuntimeData],
  [
    "event log, replayed",
    async (bytes) => {
      const log = parseEventLog(bytes);
      for (const bank of log.banks) {
        await replayEventLog(crypto, log, bank);
        await requireSeparators(crypto, log, bank);
      }
    },
  ],
  ["dstack's event log", (bytes) => replayDstackLog(crypto, bytes)],
  ["RA-TLS certificate", (bytes) => readRaTls(bytes, true)],
  ["certificate", (bytes) => parseCertificate("Certificate", bytes)],
  ["CRL", (bytes) => parseCrl("CRL", bytes)],
  ["PEM", (bytes) => decodePem("PEM", bytes)],
  ["simulated evidence", parseSimulated],
  ["token", (bytes) => parseToken(fromUtf8(bytes))],
  ["key set", (bytes) => parseJwks(json(bytes))],
];

const pool: Uint8Array[] = [];

beforeAll(async () => {
  const subjects = [
    await simulatedSubject(crypto, "ES256"),
    ...(await Promise.all(hardwareSubjects.map(({ make }) => make(crypto)))),
  ];
  for (const subject of subjects) {
    const evidence = await (await subject.attester()).collect(subject.binding);
    pool.push(evidence.bytes, encodeEvidence(evidence), encodeStatement(subject.statement));
    pool.push(...Object.values(evidence.attachments), ...Object.values(subject.collateral));
  }
  const { publicArea } = await syntheticTpm(crypto);
  pool.push(publicArea, utf8(JSON.stringify({ keys: [await jwk()] })));
  if (hasVectors) for (const bytes of vectors(vectorsPath())) pool.push(...taken(bytes));
  // Parts of what is there: a quote holds certificates, TPM evidence a quote.
  for (const bytes of [...pool]) pool.push(...parts(bytes));
});

async function jwk(): Promise<Readonly<Record<string, string>>> {
  const pair = await globalThis.crypto.subtle.generateKey(
    { name: "ECDSA", namedCurve: "P-256" },
    true,
    ["sign", "verify"],
  );
  const { kty, crv, x, y } = await globalThis.crypto.subtle.exportKey("jwk", pair.publicKey);
  return { kty: kty ?? "", crv: crv ?? "", x: x ?? "", y: y ?? "", kid: "1", alg: "ES256" };
}

function* vectors(folder: string): Generator<Uint8Array> {
  for (const name of readdirSync(folder).sort()) {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) yield* vectors(path);
    else if (!/\.md$|evaluation/.test(name))
      yield new Uint8Array(readFileSync(path)).slice(0, maxSeedBytes);
  }
}

function taken(bytes: Uint8Array): readonly Uint8Array[] {
  const read = attempt(() => readEvidenceForm(bytes));
  if (read === undefined) return [bytes];
  const { evidence, collateral } = read;
  return [
    bytes,
    evidence.bytes,
    ...Object.values(evidence.attachments),
    ...Object.values(collateral),
  ];
}

function parts(bytes: Uint8Array): readonly Uint8Array[] {
  const tpm = attempt(() => decodeTpmEvidence(bytes));
  const pem = attempt(() => decodePem("seed", bytes)) ?? [];
  const dcap = attempt(() => parseDcapCollateral(bytes));
  const limits = { maxBytes: 64 * 1024, maxDepth: 4, maxValues: 1024 };
  const vtpm = attempt(() => decodeCbor("seed", bytes, limits));
  const runtime = vtpm instanceof Map ? (vtpm as ReadonlyMap<string, unknown>).get("runtime") : "";
  return [
    ...(tpm === undefined ? [] : [tpm.message, tpm.signature]),
    ...pem,
    ...(dcap === undefined ? [] : [utf8(dcap.tcbInfo.text), utf8(dcap.qeIdentity.text)]),
    ...(runtime instanceof Uint8Array ? [runtime] : []),
  ];
}

function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

async function accepts(parse: Parser, bytes: Uint8Array): Promise<boolean> {
  try {
    await parse(bytes);
    return true;
  } catch {
    return false;
  }
}

/** Park-Miller: the same run again for the same seed. */
function random(from: number): (below: number) => number {
  let state = (from % 2_147_483_646) + 1;
  return (below) => {
    state = (state * 48_271) % 2_147_483_647;
    return state % below;
  };
}

/** Flips, cuts, copies, insertions, and the numbers that lengths are wrong at. */
function mutate(input: Uint8Array, draw: (below: number) => number): Uint8Array {
  let bytes = new Uint8Array(input);
  for (let times = draw(4); times >= 0; times--) {
    const at = draw(Math.max(1, bytes.length));
    const size = Math.min([1, 2, 4, 8][draw(4)] as number, bytes.length - at);
    switch (draw(6)) {
      case 0:
        if (bytes.length > 0) bytes[at] = (bytes[at] as number) ^ (1 << draw(8));
        break;
      case 1:
        bytes = bytes.slice(0, at);
        break;
      case 2:
        bytes.fill([0x00, 0xff, 0x7f, 0x80][draw(4)] as number, at, at + size);
        break;
      case 3: {
        const from = draw(Math.max(1, bytes.length));
        const chunk = bytes.slice(from, from + draw(64));
        bytes = Uint8Array.of(...bytes.subarray(0, at), ...chunk, ...bytes.subarray(at));
        break;
      }
      case 4:
        for (let i = at; i < at + size; i++) bytes[i] = draw(256);
        break;
      default: {
        const end = at + draw(64);
        bytes = Uint8Array.of(...bytes.subarray(0, at), ...bytes.subarray(end));
      }
    }
  }
  return bytes;
}

describe(`fuzz, ${seconds} s a parser`, () => {
  test.each(parsers)(
    "%s",
    async (_, parse) => {
      const seeds: Uint8Array[] = [];
      for (const bytes of pool) if (await accepts(parse, bytes)) seeds.push(bytes);
      if (hasVectors) expect(seeds.length).toBeGreaterThan(0);
      seeds.push(new Uint8Array(64));
      const draw = random(seed);
      const before = process.memoryUsage();
      const end = performance.now() + seconds * 1000;
      for (let i = 0; i < 50 || performance.now() < end; i++) {
        const bytes = mutate(seeds[draw(seeds.length)] as Uint8Array, draw);
        try {
          await parse(bytes);
        } catch (error) {
          if (error instanceof VivariumError) continue;
          throw new Error(`round ${i} of seed ${seed}: ${String(error)}`, { cause: error });
        }
      }
      const after = process.memoryUsage();
      expect(after.heapTotal + after.arrayBuffers).toBeLessThan(
        before.heapTotal + before.arrayBuffers + maxGrowth,
      );
    },
    seconds * 1000 + 120_000,
  );
});
