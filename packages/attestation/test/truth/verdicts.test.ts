/** The verdict of every piece of real evidence, and of every byte of it changed. */
import { readdirSync } from "node:fs";
import { fromUtf8, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { webCrypto } from "@vivarium/core/web";
import { describe, expect, test } from "vitest";
import type { Assessment } from "../../src/index.ts";
import { hasVectors, vectorsPath } from "../vectors.ts";
import { assessReal, type DcapCase, type RealCase, readVector, realCases } from "./real.ts";

const crypto = nodeCrypto();
const rulesOf = ({ findings }: Assessment, severity: string): string[] =>
  findings.filter((finding) => finding.severity === severity).map(({ rule }) => rule);

/** Share of the bytes that are changed, drawn with a seed; all of them by `VIVARIUM_ALL_BYTES=1`. */
const share = process.env["VIVARIUM_ALL_BYTES"] === "1" ? 1 : 0.05;
const maxFlippedBytes = 16 * 1024;

const dcapFiles = hasVectors
  ? readdirSync(vectorsPath("dcap_cases")).filter((name) => name.endsWith(".json"))
  : [];

function dcapCase(file: string): { readonly document: DcapCase; readonly real: RealCase } {
  const path = `dcap_cases/${file}`;
  const document = JSON.parse(fromUtf8(readVector(path))) as DcapCase;
  const real = { evidence: document.quote, collateral: [path], at: document.verify_at };
  return { document, real };
}

describe.skipIf(!hasVectors)("real evidence", () => {
  test.each([crypto, webCrypto()])("has the verdict of its index, with $name", async (each) => {
    for (const real of realCases) {
      const assessment = await assessReal(each, real);
      const name = `${real.evidence} at ${real.at}`;
      const failed = rulesOf(assessment, "error");
      expect([name, failed.at(-1)]).toEqual([name, real.refused]);
      expect([name, assessment.accepted]).toEqual([name, real.refused === undefined]);
      if (real.warnings !== undefined) {
        const warned = rulesOf(assessment, "warning").map((rule) => rule.replace("allow.", ""));
        expect([name, warned]).toEqual([name, real.warnings]);
      }
      if (real.debug === true) expect(assessment.verified?.debug).toBe(true);
    }
  });

  test("is 27 DCAP cases", () => expect(dcapFiles).toHaveLength(27));

  test.each(dcapFiles)("%s: exact status, module status and advisories", async (file) => {
    const { document, real } = dcapCase(file);
    const assessment = await assessReal(crypto, real);
    const { status, mod, adv = [], dbg, level, qe, tcbDate, eval: number } = document.expected;
    if (status.startsWith("REJECT")) {
      expect(assessment.accepted).toBe(false);
      expect(rulesOf(assessment, "error").at(-1)).toMatch(/\.supported$/);
      return;
    }
    const claims = Object.values(assessment.claims)[0] as Readonly<Record<string, unknown>>;
    expect(assessment.tcbStatus).toBe(status);
    expect(assessment.verified?.tcb.advisories).toEqual(adv);
    expect(assessment.verified?.debug).toBe(dbg);
    expect(claims).toMatchObject({
      tcb_status: status,
      module_tcb_status: mod ?? null,
      platform_tcb_status: level,
      qe_tcb_status: qe,
      tcb_date: tcbDate,
      tcb_eval_num: number,
    });
    expect(assessment.accepted).toBe(status === "UpToDate" && dbg === false);
  });

  test("gives no other claims for any byte changed", async () => {
    const dcap = dcapFiles.map((file) => dcapCase(file).real);
    const seen = new Set<string>();
    let changed = 0;
    let free = 0;
    for (const real of [...realCases, ...dcap]) {
      if (seen.has(real.evidence)) continue;
      const genuine = await assessReal(crypto, real);
      if (genuine.verified === undefined) continue;
      seen.add(real.evidence);
      const claims = claimsOf(genuine);
      const length = evidenceLength(real);
      for (const at of positions(Math.min(length, maxFlippedBytes), seen.size)) {
        let blank = false;
        const assessment = await assessReal(crypto, real, (bytes) => {
          const copy = new Uint8Array(bytes);
          copy[at] = (copy[at] as number) ^ (1 << (at % 8));
          blank = isBlank(bytes[at] as number) && isBlank(copy[at] as number);
          return copy;
        });
        changed++;
        if (assessment.verified === undefined) continue;
        // White space around PEM is all that no signature covers and no rule fixes.
        expect([real.evidence, at, blank]).toEqual([real.evidence, at, true]);
        expect([real.evidence, at, claimsOf(assessment)]).toEqual([real.evidence, at, claims]);
        free++;
      }
    }
    console.log(
      `${changed} bytes of ${seen.size} pieces changed: ${free} white space, else refused.`,
    );
    expect(changed).toBeGreaterThan(1000);
  }, 1_200_000);
});

const isBlank = (byte: number): boolean => [0x00, 0x09, 0x0a, 0x0d, 0x20].includes(byte);

function evidenceLength(real: RealCase): number {
  let length = 0;
  void assessReal(crypto, real, (bytes) => {
    length = bytes.length;
    return bytes;
  });
  return length;
}

function claimsOf({ verified }: Assessment): string {
  const measurements = Object.entries(verified?.measurements ?? {}).map(([name, value]) => [
    name,
    toHex(value),
  ]);
  return JSON.stringify([verified?.claims, measurements, verified?.tcb, verified?.debug]);
}

/** A seeded draw without repetition of about `share` of the positions. */
function* positions(length: number, seed: number): Generator<number> {
  let state = seed;
  for (let at = 0; at < length; at++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    if (state / 2 ** 32 < share) yield at;
  }
}
