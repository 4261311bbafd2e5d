import { readFileSync } from "node:fs";
import { hash_to_field } from "@noble/curves/abstract/hash-to-curve.js";
import { sha512 } from "@noble/hashes/sha2.js";
import { utf8 } from "@vivarium/core";
import { describe, expect, test } from "vitest";
import { mapToCurve } from "../src/elligator.ts";
import { fromLittleEndian, invert, p, reduce } from "../src/field.ts";
import { surveyEngines } from "../src/index.ts";
import { jacobi } from "../src/jacobi.ts";

interface Point {
  readonly x: string;
  readonly y: string;
}
interface Vector {
  readonly msg: string;
  readonly u: readonly string[];
  readonly P: Point;
  readonly Q: Point;
  readonly Q0: Point;
  readonly Q1: Point;
}
const load = (name: string): { dst: string; vectors: Vector[] } =>
  JSON.parse(readFileSync(new URL(`vectors/${name}.json`, import.meta.url), "utf8")) as {
    dst: string;
    vectors: Vector[];
  };

/** u(2P) of u(P) (RFC 7748's doubling): the tests' own cofactor clearing, which clamping hides. */
function double(x: bigint): bigint {
  const numerator = reduce((x * x - 1n) ** 2n % p);
  const denominator = (4n * x * (x * x + 486662n * x + 1n)) % p;
  return reduce(numerator * invert(denominator));
}
const times8 = (x: bigint): bigint => double(double(double(x)));

for (const { engine, problem } of surveyEngines()) {
  if (problem !== undefined) continue;
  describe(`RFC 9380 J.4.2 curve25519_XMD:SHA-512_ELL2_NU_: ${engine.name}`, () => {
    const suite = load("rfc9380-j4-ell2-nu");
    test.each(suite.vectors.map((v) => [v.msg.slice(0, 16), v] as const))("%s…", (_, v) => {
      const message = utf8(v.msg);
      const out = engine.hashToCurve(message, Uint32Array.of(0, message.length), utf8(suite.dst));
      const u = fromLittleEndian(out, 0);
      expect(u).toBe(BigInt(v.Q.x));
      expect(times8(u)).toBe(BigInt(v.P.x));
    });
  });
}

describe("RFC 9380 J.4.1 curve25519_XMD:SHA-512_ELL2_RO_", () => {
  const suite = load("rfc9380-j4-ell2-ro");
  test.each(suite.vectors.map((v) => [v.msg.slice(0, 16), v] as const))("%s…", (_, v) => {
    const elements = hash_to_field(utf8(v.msg), 2, {
      DST: utf8(suite.dst),
      p,
      m: 1,
      k: 128,
      expand: "xmd",
      hash: sha512,
    }).map((one) => one[0] as bigint);
    expect(elements).toEqual(v.u.map((u) => BigInt(u)));
    const out = new Uint8Array(64);
    mapToCurve(2, (i) => elements[i] as bigint, out);
    expect(fromLittleEndian(out, 0)).toBe(BigInt(v.Q0.x));
    expect(fromLittleEndian(out, 32)).toBe(BigInt(v.Q1.x));
    // The RO sum needs y, which the u-only map does not give: the RFC's own y completes it.
    const [x0, y0, x1, y1] = [v.Q0.x, v.Q0.y, v.Q1.x, v.Q1.y].map(BigInt) as [
      bigint,
      bigint,
      bigint,
      bigint,
    ];
    const slope = reduce(reduce(y1 - y0 + p) * invert(reduce(x1 - x0 + p)));
    const sum = reduce(slope * slope + 4n * p - 486662n - x0 - x1);
    expect(times8(sum)).toBe(BigInt(v.P.x));
  });
});

describe("the map", () => {
  test("every u is on the curve, not on its twist, and both branches are taken", () => {
    const n = 600; // more than two inversion chunks
    const elements = Array.from({ length: n }, (_, i) => reduce(BigInt(i + 1) ** 50n % p));
    const out = new Uint8Array(32 * n);
    mapToCurve(n, (i) => elements[i] as bigint, out);
    let first = 0;
    for (let i = 0; i < n; i++) {
      const u = fromLittleEndian(out, 32 * i);
      expect(jacobi(reduce(u * reduce(u * u + 486662n * u + 1n)))).toBe(1);
      const r = elements[i] as bigint;
      if (reduce(u * reduce(1n + 2n * reduce(r * r))) === p - 486662n) first++;
    }
    expect(first).toBeGreaterThan(200);
    expect(first).toBeLessThan(400);
  });
  test("r and -r, and r = 0, agree with the formula", () => {
    const out = new Uint8Array(96);
    mapToCurve(3, (i) => [5n, p - 5n, 0n][i] as bigint, out);
    expect(fromLittleEndian(out, 0)).toBe(fromLittleEndian(out, 32));
    expect([0n, p - 486662n]).toContain(fromLittleEndian(out, 64));
  });
  test("the character agrees with Euler's criterion", () => {
    const power = (a: bigint, e: bigint): bigint => {
      let [result, base, rest] = [1n, a, e];
      for (; rest > 0n; rest >>= 1n) {
        if (rest & 1n) result = (result * base) % p;
        base = (base * base) % p;
      }
      return result;
    };
    const values = [0n, 1n, 2n, 3n, p - 1n, p - 2n, 1n << 200n, 1n << 32n, 3n << 64n];
    for (let i = 0n; i < 200n; i++) values.push(0x9e3779b97f4a7c15n ** (i + 3n) % p);
    for (const a of values) {
      const euler = power(a, (p - 1n) / 2n);
      expect(jacobi(a)).toBe(euler === p - 1n ? -1 : Number(euler));
    }
  });
});
