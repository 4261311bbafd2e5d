/**
 * Verifications of real evidence per second and TEE, collateral being there, and beside
 * @phala/dcap-qvl on the quotes where both agree. On the vectors that the tests read; without them
 * nothing is measured.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { type Assessment, assessEvidence } from "@vivarium/attestation";
import { mergeCollateral, readCollateralForm, readEvidenceForm } from "@vivarium/attestation/forms";
import { everyVerifier } from "@vivarium/attestation/verifiers";
import { fromUtf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { type Benchmark, type Figure, figure } from "./benchmark.ts";
import { installPeer } from "./peers.ts";

const peer = { name: "@phala/dcap-qvl", version: "0.3.9" };
const runs = 7;
/** Of one sample; a verification takes a millisecond or so. */
const sampleMs = 250;
const folder =
  process.env["VIVARIUM_VECTORS"] ?? resolve(import.meta.dirname, "../../../shared/vectors");

interface Subject {
  readonly name: string;
  readonly evidence: string;
  readonly collateral: readonly string[];
  readonly at: string;
}

const subjects: readonly Subject[] = [
  {
    name: "sgx",
    evidence: "sgx/phala_sgx_v3_quote.bin",
    collateral: [
      "dcap_cases/sgx_phala_sgx_v3_quote__ConfigurationAndSWHardeningNeeded__2025-07-04.json",
    ],
    at: "",
  },
  {
    name: "tdx",
    evidence: "tdx/phala_tdx_v4_quote.bin",
    collateral: ["dcap_cases/tdx_phala_tdx_v4_quote__UpToDate__2025-07-04.json"],
    at: "",
  },
  {
    name: "snp",
    evidence: "snp/oak_turin_v5_report.bin",
    collateral: ["snp/oak_turin_v5_vcek.der"],
    at: "2026-06-20",
  },
  {
    name: "csv",
    evidence: "csv/csv-rs_report.cert",
    collateral: ["csv/csv-rs_hsk_cek.cert"],
    at: "2026-06-01",
  },
  {
    name: "cca",
    evidence: "cca/rust-ccatoken/cca-token-01.cbor",
    collateral: ["cca/rust-ccatoken/ta-tfa.json"],
    at: "2026-06-01",
  },
  {
    name: "nitro",
    evidence: "nitro/dstack_nitro_attestation.bin",
    collateral: [],
    at: "2025-12-25T16:10:00Z",
  },
  {
    name: "az_snp_vtpm",
    evidence: "vtpm/az-snp/evidence-v2.json",
    collateral: [],
    at: "2026-06-01",
  },
];

const read = (path: string): Uint8Array => new Uint8Array(readFileSync(join(folder, path)));

/** What a `dcap_cases` file holds, as far as it matters here. */
interface DcapCase {
  readonly quote: string;
  readonly verify_at: string;
  readonly expected: { readonly status: string };
  readonly collateral?: unknown;
}

const dcapCase = (file: string): DcapCase => JSON.parse(fromUtf8(read(file))) as DcapCase;

export const benchmark: Benchmark = {
  name: "attestation",
  async run() {
    if (!existsSync(join(folder, "INDEX.md"))) {
      throw new Error(`There are no vectors at ${folder} (set VIVARIUM_VECTORS).`);
    }
    const figures: Figure[] = [];
    for (const subject of subjects) {
      const verify = verification(subject);
      const { verified } = await verify();
      if (verified === undefined) throw new Error(`${subject.evidence} does not verify.`);
      const samples: number[] = [];
      for (let run = 0; run < runs; run++) samples.push(await rate(verify));
      figures.push(figure(`attestation.${subject.name}_verifications`, samples, "1/s"));
    }
    const compared = await compare();
    return {
      engine: "node:crypto, one thread",
      runs,
      figures: [...figures, ...compared.figures],
      notes: [
        "each verification parses the evidence and its collateral, verifies every signature and applies the strict default; one after the other on one core",
        ...compared.notes,
      ],
      versions: { [peer.name]: peer.version },
    };
  },
};

function verification({ evidence, collateral, at }: Subject): () => Promise<Assessment> {
  const [first] = collateral;
  const dcap = first?.startsWith("dcap_cases/") === true ? dcapCase(first) : undefined;
  const { evidence: parsed, collateral: own } = readEvidenceForm(read(dcap?.quote ?? evidence));
  const given = mergeCollateral(collateral.map((path) => readCollateralForm(read(path))));
  const options = {
    verifiers: everyVerifier(),
    crypto: nodeCrypto(),
    now: Date.parse(dcap?.verify_at ?? at),
    collateral: { ...own, ...given },
  };
  return () => assessEvidence(parsed, options);
}

/** Calls a second, over a sample. */
async function rate(work: () => unknown): Promise<number> {
  const begin = performance.now();
  let count = 0;
  let elapsed = 0;
  do {
    await work();
    count++;
    elapsed = performance.now() - begin;
  } while (elapsed < sampleMs);
  return (count * 1000) / elapsed;
}

interface Qvl {
  verify(quote: Uint8Array, collateral: unknown, seconds: number): { readonly status: string };
}

/** Both on every case where the peer's status is the expected one, interleaved. */
async function compare(): Promise<{
  readonly figures: readonly Figure[];
  readonly notes: readonly string[];
}> {
  const directory = await installPeer(peer);
  if (directory === undefined) {
    return { figures: [], notes: [`${peer.name} could not be installed: no comparison`] };
  }
  const qvl = createRequire(import.meta.url)(directory) as Qvl;
  const cases = readdirSync(join(folder, "dcap_cases")).filter((name) => name.endsWith(".json"));
  const pairs = cases.flatMap((name) => {
    const path = `dcap_cases/${name}`;
    const { quote, verify_at: at, expected, ...document } = dcapCase(path);
    const raw = readEvidenceForm(read(quote)).evidence.bytes;
    const collateral = document.collateral ?? document;
    const theirs = (): { readonly status: string } =>
      qvl.verify(raw, collateral, Math.floor(Date.parse(at) / 1000));
    const ours = verification({ name, evidence: quote, collateral: [path], at });
    return agrees(theirs, expected.status) ? [{ ours, theirs }] : [];
  });
  const samples: { readonly ours: number; readonly theirs: number }[] = [];
  for (let run = 0; run < runs; run++) {
    // The sum over the cases, each once: what a service that meets all of them would see.
    let ours = 0;
    let theirs = 0;
    for (const pair of pairs) {
      ours += 1 / (await rate(pair.ours));
      theirs += 1 / (await rate(pair.theirs));
    }
    samples.push({ ours: pairs.length / ours, theirs: pairs.length / theirs });
  }
  const of = (pick: (sample: (typeof samples)[number]) => number): number[] => samples.map(pick);
  return {
    figures: [
      figure(
        "attestation.dcap_verifications",
        of(({ ours }) => ours),
        "1/s",
      ),
      figure(
        "attestation.dcap_verifications_phala",
        of(({ theirs }) => theirs),
        "1/s",
      ),
      figure(
        "attestation.dcap_ratio_vs_phala",
        of(({ ours, theirs }) => ours / theirs),
        "ratio",
      ),
    ],
    notes: [
      `${peer.name} gives the expected status on ${pairs.length} of ${cases.length} cases; both are compared on these, interleaved`,
    ],
  };
}

function agrees(theirs: () => { readonly status: string }, status: string): boolean {
  try {
    return theirs().status === status;
  } catch {
    return false;
  }
}
