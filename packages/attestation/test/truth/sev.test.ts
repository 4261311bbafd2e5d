/** Certificates of real SEV platforms, and each of them changed, swapped or of another machine. */
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { AttestationError } from "../../src/index.ts";
import {
  parseSevAuthority,
  type SevPlatformInput,
  verifySevPlatform,
} from "../../src/sev/index.ts";
import { hasVectors } from "../vectors.ts";
import { readVector } from "./real.ts";

const crypto = nodeCrypto();
const names = ["cek", "pek", "pdh", "oca"] as const;

function platform(generation: string): SevPlatformInput {
  const [cek, pek, pdh, oca] = names.map((name) =>
    readVector(`sev/${generation}/${name}.cert`),
  ) as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  return { crypto, cek, pek, pdh, oca };
}

async function refusal(input: SevPlatformInput): Promise<string> {
  try {
    await verifySevPlatform(input);
    return "accepted";
  } catch (error) {
    if (!(error instanceof AttestationError)) throw error;
    return error.findings.at(-1)?.rule ?? error.code;
  }
}

describe.skipIf(!hasVectors).each(["naples", "rome"])("SEV platform of %s", (generation) => {
  test("verifies to its pinned root", async () => {
    const { findings, root } = await verifySevPlatform(platform(generation));
    expect(root).toMatch(/^sha256:/);
    expect(findings.every(({ ok }) => ok)).toBe(true);
  });

  test("has no byte that can be changed", async () => {
    const genuine = platform(generation);
    for (const name of names) {
      for (let at = names.indexOf(name); at < genuine[name].length; at += 23) {
        const copy = new Uint8Array(genuine[name]);
        copy[at] = (copy[at] as number) ^ (1 << (at % 8));
        expect([name, at, await refusal({ ...genuine, [name]: copy })]).not.toContain("accepted");
      }
    }
  }, 60_000);

  test("is not put together from two machines", async () => {
    const genuine = platform(generation);
    const other = platform(generation === "rome" ? "naples" : "rome");
    expect(await refusal({ ...genuine, cek: other.cek })).toBe("sev.pek");
    expect(await refusal({ ...genuine, pek: other.pek })).toBe("sev.pek");
    expect(await refusal({ ...genuine, pdh: other.pdh })).toBe("sev.pdh");
    expect(await refusal({ ...genuine, oca: other.oca })).toBe("sev.pek-owner");
    expect(await refusal({ ...genuine, pdh: genuine.pek })).toBe("sev.pdh-usage");
    expect(await refusal({ ...genuine, authorities: [] })).toBe("sev.cek");
  });
});

describe.skipIf(!hasVectors)("AMD's SEV roots", () => {
  test("a damaged root is refused", () => {
    expect(() => parseSevAuthority("ARK", readVector("sev/naples/ark.cert.bad"))).toThrow(
      AttestationError,
    );
  });
});
