/**
 * Collateral from services: a server here plays Intel's PCS, a PCCS, AMD's KDS and Hygon's service with
 * their real bodies, and fails in every way that they do.
 */
import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromHex, manualClock, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  type CollateralSource,
  collateralSource,
  diskCache,
  fetchCollateral,
  type SourceOptions,
} from "../src/fetch/index.ts";
import { readCollateralForm, readEvidenceForm } from "../src/forms/index.ts";
import { assessEvidence, type Evidence } from "../src/index.ts";
import { everyVerifier } from "../src/verifiers/index.ts";
import { makeReport, syntheticAmd } from "./synthetic/snp.ts";
import { pemOf } from "./synthetic/x509.ts";
import { hasVectors, vectorsPath } from "./vectors.ts";

const crypto = nodeCrypto();
const start = Date.UTC(2026, 5, 1);

type Answer = (request: IncomingMessage, response: ServerResponse) => void;
let server: Server;
let base: string;
let answers: Map<string, Answer>;
let asked: string[];

beforeEach(async () => {
  answers = new Map();
  asked = [];
  server = createServer((request, response) => {
    const url = request.url ?? "";
    asked.push(url);
    const answer = answers.get(url);
    if (answer === undefined) response.writeHead(404).end();
    else answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  base = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
});
afterEach(() => {
  server.closeAllConnections();
  server.close();
});

const give =
  (body: Uint8Array | string, headers: Record<string, string> = {}): Answer =>
  (_, response) =>
    void response.writeHead(200, headers).end(body);

function source(more: Partial<SourceOptions> = {}): CollateralSource {
  const clock = manualClock(start);
  const pause = async (): Promise<void> => {};
  return collateralSource({ clock, timeoutMs: 2_000, pause, ...more });
}

/** AMD's service for one chip, and a report of it. */
async function amd(): Promise<{
  evidence: Evidence;
  vcek: string;
  collateral: Awaited<ReturnType<typeof syntheticAmd>>;
}> {
  const made = await syntheticAmd(crypto, start);
  const report = await makeReport(made, new Uint8Array(64));
  const chip = Buffer.from(report.subarray(0x1a0, 0x1e0)).toString("hex");
  const vcek = `/vcek/v1/Milan/${chip}?blSPL=3&teeSPL=0&snpSPL=8&ucodeSPL=115`;
  answers.set(vcek, give(made.leaf.der));
  answers.set("/vcek/v1/Milan/cert_chain", give(pemOf(made.ask.der, made.ark.der)));
  const { crl } = made.collateral;
  if (crl !== undefined) answers.set("/vcek/v1/Milan/crl", give(crl));
  return { evidence: { type: "snp", bytes: report, attachments: {} }, vcek, collateral: made };
}

describe("AMD's service", () => {
  test("gives what a report verifies with", async () => {
    const { evidence, collateral: made } = await amd();
    const collateral = await fetchCollateral(evidence, source(), { kds: base });
    const verifiers = everyVerifier([made.ark.der]);
    const { accepted, findings } = await assessEvidence(evidence, {
      verifiers,
      crypto,
      now: start,
      collateral,
    });
    expect(findings.filter(({ ok }) => !ok)).toEqual([]);
    expect(accepted).toBe(true);
    expect(asked).toHaveLength(3);
  });

  test("is asked once for what many ask at the same time, and not again while it is young", async () => {
    const { evidence } = await amd();
    const clock = manualClock(start);
    const cache = diskCache(mkdtempSync(join(tmpdir(), "vivarium-cache-")));
    const one = source({ cache, clock });
    const all = await Promise.all(
      Array.from({ length: 8 }, () => fetchCollateral(evidence, one, { kds: base })),
    );
    expect(asked).toHaveLength(3);
    await fetchCollateral(evidence, source({ cache, clock }), { kds: base });
    expect(asked).toHaveLength(3);
    // A day later the CRL is old, the chip's certificate is not.
    clock.advance(86_400_000);
    await fetchCollateral(evidence, source({ cache, clock }), { kds: base });
    expect(asked.slice(3)).toEqual(["/vcek/v1/Milan/crl"]);
    expect(new Set(all.map((collateral) => JSON.stringify(collateral))).size).toBe(1);
  });

  test("turns many away: the pause grows, and is as long as the service asks", async () => {
    const { evidence, vcek } = await amd();
    const good = answers.get(vcek) as Answer;
    let left = 3;
    answers.set(vcek, (request, response) => {
      if (left-- > 0) response.writeHead(429, left === 1 ? { "retry-after": "7" } : {}).end();
      else good(request, response);
    });
    const pauses: number[] = [];
    const pause = async (ms: number): Promise<void> => void pauses.push(ms);
    await fetchCollateral(evidence, source({ pause, backOffMs: 100 }), { kds: base });
    expect(pauses).toHaveLength(3);
    expect(pauses[0]).toBeLessThan(200);
    expect(pauses[1]).toBe(7_000);
    expect(pauses[2]).toBeGreaterThan(250);
  });

  test("asked for a report before version 3 it is asked for each product", async () => {
    const made = await syntheticAmd(crypto, start, { version: 2, product: "Genoa" });
    const report = await makeReport(made, new Uint8Array(64));
    const chip = Buffer.from(report.subarray(0x1a0, 0x1e0)).toString("hex");
    answers.set(
      `/vcek/v1/Genoa/${chip}?blSPL=3&teeSPL=0&snpSPL=8&ucodeSPL=115`,
      give(made.leaf.der),
    );
    answers.set("/vcek/v1/Genoa/cert_chain", give(pemOf(made.ask.der, made.ark.der)));
    answers.set("/vcek/v1/Genoa/crl", give(made.collateral["crl"] as Uint8Array));
    const evidence: Evidence = { type: "snp", bytes: report, attachments: {} };
    await fetchCollateral(evidence, source(), { kds: base });
    expect(asked[0]).toContain("/vcek/v1/Milan/");
  });
});

describe("a service that fails", () => {
  const ways: [string, Answer, RegExp][] = [
    ["with 404", (_, response) => void response.writeHead(404).end(), /status 404\./],
    [
      "with 500 for ever",
      (_, response) => void response.writeHead(500).end(),
      /status 500 \(5 attempts\)/,
    ],
    [
      "with a redirect",
      (_, response) => void response.writeHead(302, { location: "/" }).end(),
      /cannot be reached/,
    ],
    ["by hanging up", (request) => void request.socket.destroy(), /cannot be reached/],
    ["by saying nothing", () => {}, /silent/],
    [
      "in the middle",
      (_, response) =>
        void response
          .writeHead(200, { "content-length": 900 })
          .write("x", () => response.destroy()),
      /cannot be reached/,
    ],
    ["by too much", give(new Uint8Array(300_000)), /over 262144 bytes/],
    ["with HTML", give("<html>busy</html>"), /./],
    ["with nothing", give(""), /./],
  ];
  test.each(ways)("%s is named, and costs no more", async (_, answer, message) => {
    const { evidence, vcek } = await amd();
    answers.set(vcek, answer);
    const fetched = fetchCollateral(evidence, source({ timeoutMs: 150 }), { kds: base });
    await expect(fetched).rejects.toMatchObject({ domain: "attestation" });
    await expect(fetched).rejects.toThrow(message);
  });

  test("leaves what the cache holds, whose own dates decide", async () => {
    const { evidence } = await amd();
    const clock = manualClock(start);
    const cache = diskCache(mkdtempSync(join(tmpdir(), "vivarium-cache-")));
    const before = await fetchCollateral(evidence, source({ cache, clock }), { kds: base });
    clock.advance(400 * 86_400_000);
    answers.clear();
    const lines: string[] = [];
    const late = source({ cache, clock, onRequest: (line) => lines.push(line) });
    expect(await fetchCollateral(evidence, late, { kds: base })).toEqual(before);
    expect(lines.some((line) => line.includes("taking"))).toBe(true);
    const offline = source({ cache, clock, offline: true });
    asked.length = 0;
    expect(await fetchCollateral(evidence, offline, { kds: base })).toEqual(before);
    expect(asked).toEqual([]);
    const empty = source({ offline: true });
    await expect(fetchCollateral(evidence, empty, { kds: base })).rejects.toThrow(/offline/);
  });

  test("a damaged, renamed or cut-off entry of the cache is a miss", async () => {
    const { evidence } = await amd();
    const directory = mkdtempSync(join(tmpdir(), "vivarium-cache-"));
    const run = () =>
      fetchCollateral(evidence, source({ cache: diskCache(directory) }), { kds: base });
    const good = await run();
    const files = readdirSync(directory).map((name) => join(directory, name));
    for (const damage of [
      (text: string) =>
        text.replace(/("body":")(.)/, (_, head, first) => `${head}${first === "A" ? "B" : "A"}`),
      (text: string) => text.slice(0, 100),
      (text: string) => text.replace(/"sha256":"./, '"sha256":"z'),
      () => "",
      () => "null",
    ]) {
      asked.length = 0;
      for (const file of files) writeFileSync(file, damage(readFileSync(file, "utf8")));
      expect(await run()).toEqual(good);
      expect(asked).toHaveLength(3);
    }
    const [first, second] = files.map((file) => readFileSync(file)) as [Buffer, Buffer];
    writeFileSync(files[0] as string, second);
    writeFileSync(files[1] as string, first);
    asked.length = 0;
    expect(await run()).toEqual(good);
    expect(asked).toHaveLength(2);
  });

  test("can be given up while it makes one wait", async () => {
    const { evidence, vcek } = await amd();
    answers.set(vcek, (_, response) => void response.writeHead(503, { "retry-after": "60" }).end());
    const stop = new AbortController();
    setTimeout(() => stop.abort(new Error("enough")), 50);
    const slow = collateralSource({ clock: manualClock(start), signal: stop.signal });
    await expect(fetchCollateral(evidence, slow, { kds: base })).rejects.toThrow("enough");
  });
});

test.each<[Evidence["type"], RegExp]>([
  ["cca", /ask whoever runs the platform/],
  ["tpm", /ask whoever runs the platform/],
])("%s has no service", async (type, message) => {
  const evidence: Evidence = { type, bytes: new Uint8Array(9), attachments: {} };
  await expect(fetchCollateral(evidence, source())).rejects.toThrow(message);
});

describe.skipIf(!hasVectors)("Intel's service, with its real bodies", () => {
  const name = "tdx_automata_tdx_v4_quote__OutOfDate__2025-06-26.json";

  function prepared() {
    const document = JSON.parse(readFileSync(vectorsPath("dcap_cases", name), "utf8"));
    const { evidence } = readEvidenceForm(readFileSync(vectorsPath(document.quote)));
    const { collateral } = document as { collateral: Record<string, string> };
    const { fmspc } = JSON.parse(collateral["tcb_info"] as string) as { fmspc: string };
    const body = (field: string, from: string) =>
      `{"${field}":${collateral[from]},"signature":"${collateral[`${from}_signature`]}"}`;
    const header = (from: string) => encodeURIComponent(collateral[from] as string);
    const chain = header("tcb_info_issuer_chain");
    const paths = {
      tcb: `/tdx/certification/v4/tcb?fmspc=${fmspc.toLowerCase()}`,
      qe: "/tdx/certification/v4/qe/identity",
      pck: "/sgx/certification/v4/pckcrl?ca=platform&encoding=der",
      root: "/sgx/certification/v4/rootcacrl",
    };
    answers.set(paths.tcb, give(body("tcbInfo", "tcb_info"), { "TCB-Info-Issuer-Chain": chain }));
    answers.set(
      paths.qe,
      give(body("enclaveIdentity", "qe_identity"), {
        "SGX-Enclave-Identity-Issuer-Chain": header("qe_identity_issuer_chain"),
      }),
    );
    answers.set(
      paths.pck,
      give(fromHex(collateral["pck_crl"] as string), { "SGX-PCK-CRL-Issuer-Chain": chain }),
    );
    answers.set(paths.root, give(collateral["root_ca_crl"] as string));
    return { evidence, document, paths, chain, body };
  }

  test("gives what the quote verifies with, byte for byte as it was signed", async () => {
    const { evidence, document } = prepared();
    const collateral = await fetchCollateral(evidence, source(), { pcs: base });
    const now = Date.parse(document.verify_at);
    const judge = async (given: typeof collateral) =>
      await assessEvidence(evidence, {
        verifiers: everyVerifier(),
        crypto,
        now,
        collateral: given,
      });
    const fetched = await judge(collateral);
    expect(fetched.verified).toBeDefined();
    expect(fetched.tcbStatus).toBe(document.expected.status);
    const given = await judge(readCollateralForm(utf8(JSON.stringify(document.collateral))));
    expect(fetched.claims).toEqual(given.claims);
  });

  test.each<[string, (made: ReturnType<typeof prepared>) => void]>([
    [
      "a body in another shape",
      ({ paths, chain }) =>
        void answers.set(paths.tcb, give('{"tcbInfo":{}}', { "TCB-Info-Issuer-Chain": chain })),
    ],
    [
      "no issuer chain",
      ({ paths, body }) => void answers.set(paths.tcb, give(body("tcbInfo", "tcb_info"))),
    ],
    [
      "a chain that is none",
      ({ paths, body }) =>
        void answers.set(
          paths.tcb,
          give(body("tcbInfo", "tcb_info"), { "TCB-Info-Issuer-Chain": "%ZZ" }),
        ),
    ],
    ["a CRL that is none", ({ paths }) => void answers.set(paths.root, give("not hex"))],
    [
      "a CRL in PEM's place of DER",
      ({ paths, chain }) =>
        void answers.set(
          paths.pck,
          give("-----BEGIN X509 CRL-----", { "SGX-PCK-CRL-Issuer-Chain": chain }),
        ),
    ],
  ])("with %s is refused before it is a bundle", async (_, spoil) => {
    const made = prepared();
    spoil(made);
    const fetched = fetchCollateral(made.evidence, source(), { pcs: base });
    await expect(fetched).rejects.toMatchObject({ domain: "attestation" });
  });
});
