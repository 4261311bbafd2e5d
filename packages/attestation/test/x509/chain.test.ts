/** Chains and CRLs of the vendors, and what must be refused of them. */
import { readFileSync } from "node:fs";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { webCrypto } from "@vivarium/core/web";
import { describe, expect, test } from "vitest";
import { AttestationError } from "../../src/errors.ts";
import { examine } from "../../src/examination.ts";
import { parseCertificate } from "../../src/x509/certificate.ts";
import { verifyChain, verifyCrl } from "../../src/x509/chain.ts";
import { parseCrl } from "../../src/x509/crl.ts";
import { decodePem } from "../../src/x509/pem.ts";
import type { Certificate } from "../../src/x509/types.ts";
import { flips } from "../fixture.ts";
import { hasVectors, vectorsPath } from "../vectors.ts";

const read = (...path: readonly string[]): Uint8Array =>
  new Uint8Array(readFileSync(vectorsPath(...path)));
const chainOf = (pem: Uint8Array): Certificate[] =>
  decodePem("Chain", pem).map((der) => parseCertificate("Certificate", der));

interface Sample {
  readonly name: string;
  readonly chain: readonly string[];
  readonly now: number;
}

const samples: readonly Sample[] = [
  { name: "AMD Milan", chain: ["snp", "roots", "ask_ark_milan.pem"], now: Date.UTC(2025, 5, 1) },
  {
    name: "AMD Turin VLEK",
    chain: ["snp", "roots", "ask_ark_turin_vlek.pem"],
    now: Date.UTC(2025, 5, 1),
  },
  {
    name: "Intel TCB signing",
    chain: ["tdx", "ars_collateral", "tcb_signing_chain.pem"],
    now: Date.UTC(2026, 2, 20),
  },
];

describe.skipIf(!hasVectors).each([nodeCrypto(), webCrypto()])("$name", (crypto) => {
  test.each(samples)("$name verifies to its root, and to no other", async ({ chain, now }) => {
    const certificates = chainOf(read(...chain));
    const root = certificates.at(-1) as Certificate;
    const options = { crypto, now, prefix: "x" };
    const whole = await verifyChain(examine("It"), {
      ...options,
      chain: certificates,
      anchors: [root.raw],
    });
    expect(toHex(whole.anchor.raw)).toBe(toHex(root.raw));
    // The anchor may be left out of the chain.
    await verifyChain(examine("It"), {
      ...options,
      chain: certificates.slice(0, -1),
      anchors: [root.raw],
    });
    await refused(
      verifyChain(examine("It"), { ...options, chain: certificates, anchors: [] }),
      "x.chain.anchor",
    );
    const leaf = certificates[0] as Certificate;
    for (const late of [whole.notAfter, leaf.notBefore - 86_400_000]) {
      await refused(
        verifyChain(examine("It"), {
          ...options,
          now: late,
          chain: certificates,
          anchors: [root.raw],
        }),
        "x.chain.dates",
      );
    }
    // A leaf is not an authority, whoever signed it.
    await refused(
      verifyChain(examine("It"), { ...options, chain: [leaf, leaf, root], anchors: [root.raw] }),
      "x.chain",
    );
  });

  test("an Intel CRL verifies, is dated, and lists", async () => {
    const now = Date.UTC(2026, 2, 20);
    const crl = parseCrl("CRL", read("tdx", "ars_collateral", "root_ca_crl.der"));
    const issuer = parseCertificate(
      "Root",
      read("sgx", "Intel_SGX_Provisioning_Certification_RootCA.der"),
    );
    const options = { crypto, now, crl, issuer, prefix: "x", name: "root CRL", subjects: [issuer] };
    await verifyCrl(examine("It"), options);
    await refused(verifyCrl(examine("It"), { ...options, now: crl.nextUpdate }), "x.crl.dates");
    const listed = { ...crl, revoked: new Set([toHex(issuer.serial)]) };
    await refused(verifyCrl(examine("It"), { ...options, crl: listed }), "x.crl.listed");
    const [other] = chainOf(read("snp", "roots", "ask_ark_milan.pem"));
    await refused(
      verifyCrl(examine("It"), { ...options, issuer: other as Certificate }),
      "x.crl.issuer",
    );
    await refused(
      verifyCrl(examine("It"), { ...options, subjects: [other as Certificate] }),
      "x.crl.scope",
    );
  });

  test("no byte of a certificate or CRL can be changed", async () => {
    const now = Date.UTC(2026, 2, 20);
    const chain = chainOf(read("tdx", "ars_collateral", "tcb_signing_chain.pem"));
    const [leaf, root] = chain as [Certificate, Certificate];
    let taken = 0;
    for (const changed of flips(leaf.raw)) {
      try {
        const certificate = parseCertificate("It", changed);
        await verifyChain(examine("It"), {
          crypto,
          now,
          chain: [certificate, root],
          anchors: [root.raw],
          prefix: "x",
        });
        taken++;
      } catch (error) {
        expect(error).toHaveProperty("code");
      }
    }
    const crl = read("tdx", "ars_collateral", "root_ca_crl.der");
    for (const changed of flips(crl)) {
      try {
        const options = { crypto, now, issuer: root, prefix: "x", name: "CRL", subjects: [leaf] };
        await verifyCrl(examine("It"), { ...options, crl: parseCrl("It", changed) });
        taken++;
      } catch (error) {
        expect(error).toHaveProperty("code");
      }
    }
    expect(taken).toBe(0);
  });
});

async function refused(run: Promise<unknown>, rule: string): Promise<void> {
  const error = await run.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(AttestationError);
  expect((error as AttestationError).findings.at(-1)?.rule).toContain(rule);
}
