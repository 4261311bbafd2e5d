import { Worker } from "node:worker_threads";
import { fromHex, systemRandom, toHex, utf8 } from "@vivarium/core";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  type Curve25519Engine,
  Curve25519Error,
  curve25519Limits,
  freshScalar,
  nobleEngine,
  nodeEngine,
  scalarFromBytes,
  selectEngine,
  surveyEngines,
} from "../src/index.ts";
import { lowOrderPoints } from "../src/points.ts";

const random = systemRandom();
const p = 2n ** 255n - 19n;
const point = (value: bigint): Uint8Array<ArrayBuffer> =>
  fromHex(value.toString(16).padStart(64, "0")).reverse();
const nine = point(9n);
const join = (...points: Uint8Array[]): Uint8Array =>
  Uint8Array.from(points.flatMap((x) => [...x]));

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Curve25519Error) return `${error.code}: ${error.message}`;
    throw error;
  }
  return "none";
}

/** What every engine must do. */
function contract(engine: Curve25519Engine): void {
  describe(`engine contract: ${engine.name}`, () => {
    test("RFC 7748 section 5.2, single vectors", () => {
      const vectors = [
        [
          "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
          "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
          "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ],
        [
          "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
          // The RFC's input has bit 255 set, to be masked; our engines refuse that, so it is cleared.
          "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a413",
          "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ],
      ];
      for (const [scalar, u, expected] of vectors as [string, string, string][]) {
        const out = engine.multiply(scalarFromBytes(fromHex(scalar)), fromHex(u));
        expect(toHex(out)).toBe(expected);
      }
    });
    test("RFC 7748 section 5.2, 1 and 1,000 iterations", () => {
      let k = nine;
      let u = nine;
      for (let i = 0; i < 1000; i++) {
        const next = engine.multiply(scalarFromBytes(k), u);
        u = k;
        // The RFC's implementation masks bit 255 of u; a scalar that becomes u may have it set.
        u = Uint8Array.from(u);
        u[31] = (u[31] as number) & 0x7f;
        k = next;
        if (i === 0) {
          expect(toHex(k)).toBe("422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079");
        }
      }
      expect(toHex(k)).toBe("684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51");
    });
    test("RFC 7748 section 6.1, Diffie-Hellman", () => {
      const bob = scalarFromBytes(
        fromHex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb"),
      );
      expect(toHex(engine.multiply(bob, nine))).toBe(
        "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f",
      );
      const alice = fromHex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
      expect(toHex(engine.multiply(bob, alice))).toBe(
        "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742",
      );
    });
    test("masking commutes over hashed items", () => {
      fc.assert(
        fc.property(
          fc.uint8Array({ minLength: 32, maxLength: 32 }),
          fc.uint8Array({ minLength: 32, maxLength: 32 }),
          fc.array(fc.uint8Array({ maxLength: 200 }), { minLength: 1, maxLength: 4 }),
          (a, b, items) => {
            const points = hash(engine, items);
            const [ka, kb] = [scalarFromBytes(a), scalarFromBytes(b)];
            expect(engine.multiply(ka, engine.multiply(kb, points))).toEqual(
              engine.multiply(kb, engine.multiply(ka, points)),
            );
          },
        ),
        { numRuns: 5 },
      );
    });
    test("hashes any items to the reference's points", () => {
      fc.assert(
        fc.property(
          fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 6 }),
          fc.uint8Array({ minLength: 1, maxLength: 255 }),
          (items, dst) => {
            expect(hash(engine, items, dst)).toEqual(hash(nobleEngine, items, dst));
          },
        ),
        { numRuns: 30 },
      );
    });
    test("an empty batch gives an empty batch", () => {
      expect(engine.hashToCurve(new Uint8Array(), Uint32Array.of(0), utf8("d")).length).toBe(0);
      expect(engine.multiply(freshScalar(random), new Uint8Array()).length).toBe(0);
    });
    test.each(lowOrderPoints.map((u) => [u.toString(16), u] as const))(
      "refuses the low-order point %s and names it",
      (_, u) => {
        expect(
          code(() => engine.multiply(freshScalar(random), join(nine, nine, point(u)))),
        ).toMatch(/^low-order: Point 2 /);
      },
    );
    test.each([
      ["p", p],
      ["p + 1", p + 1n],
      ["p + 9", p + 9n],
      ["2^255 - 1", 2n ** 255n - 1n],
      ["9 with bit 255", 9n + 2n ** 255n],
      ["0 with bit 255", 2n ** 255n],
      ["2^256 - 1", 2n ** 256n - 1n],
    ])("refuses the non-canonical point %s and names it", (_, u) => {
      expect(code(() => engine.multiply(freshScalar(random), join(nine, point(u))))).toMatch(
        /^non-canonical: Point 1 /,
      );
    });
    test.each([
      ["2", 2n],
      ["p - 2", p - 2n],
      ["2^254", 2n ** 254n],
      ["a twist point", 3n],
      ["low word of p, else smaller", p - 2n ** 200n],
    ])("takes the edge point %s", (_, u) => {
      const scalar = freshScalar(random);
      expect(engine.multiply(scalar, point(u))).toEqual(nobleEngine.multiply(scalar, point(u)));
    });
    test("refuses bytes of the wrong shape", () => {
      const scalar = freshScalar(random);
      const dst = utf8("d");
      const three = new Uint8Array(3);
      expect(code(() => engine.multiply(scalar, new Uint8Array(31)))).toMatch(/^invalid/);
      expect(code(() => engine.hashToCurve(three, Uint32Array.of(0, 2), dst))).toMatch(/^invalid/);
      expect(code(() => engine.hashToCurve(three, Uint32Array.of(1, 3), dst))).toMatch(/^invalid/);
      expect(code(() => engine.hashToCurve(three, Uint32Array.of(0, 2, 1, 3), dst))).toMatch(
        /^invalid/,
      );
      expect(code(() => engine.hashToCurve(three, new Uint32Array(), dst))).toMatch(/^invalid/);
      expect(code(() => engine.hashToCurve(three, Uint32Array.of(0, 3), utf8("")))).toMatch(
        /^invalid/,
      );
      expect(
        code(() => engine.hashToCurve(three, Uint32Array.of(0, 3), new Uint8Array(256))),
      ).toMatch(/^limit-exceeded/);
      const long = new Uint8Array(curve25519Limits.maxItemBytes + 1);
      expect(code(() => engine.hashToCurve(long, Uint32Array.of(0, long.length), dst))).toMatch(
        /^limit-exceeded/,
      );
    });
  });
}

function hash(engine: Curve25519Engine, items: Uint8Array[], dst = utf8("test")): Uint8Array {
  const offsets = new Uint32Array(items.length + 1);
  for (const [i, item] of items.entries()) offsets[i + 1] = (offsets[i] as number) + item.length;
  return engine.hashToCurve(join(...items), offsets, dst);
}

const survey = surveyEngines();
const usable = survey.flatMap(({ engine, problem }) => (problem === undefined ? [engine] : []));
for (const { engine, problem } of survey) {
  if (problem !== undefined) console.log(`Engine ${engine.name} is not tested here: ${problem}.`);
}
for (const engine of usable) contract(engine);

function randomPoints(count: number): Uint8Array {
  const points = new Uint8Array(32 * count);
  for (let at = 0; at < points.length; at += 65_536) {
    points.set(random.bytes(Math.min(65_536, points.length - at)), at);
  }
  for (let i = 31; i < points.length; i += 32) points[i] = (points[i] as number) & 0x7f;
  return points;
}

test("node agrees with noble on 3,000 random u-coordinates, curve and twist", () => {
  const scalar = freshScalar(random);
  const points = randomPoints(3000);
  expect(
    Buffer.compare(nodeEngine.multiply(scalar, points), nobleEngine.multiply(scalar, points)),
  ).toBe(0);
}, 60_000);

test("every engine agrees with node on 100,000 random u-coordinates", () => {
  const points = randomPoints(100_000);
  const scalar = freshScalar(random);
  const expected = nodeEngine.multiply(scalar, points);
  for (const engine of usable.filter(({ name }) => name !== "node" && name !== "noble")) {
    expect([engine.name, Buffer.compare(engine.multiply(scalar, points), expected)]).toEqual([
      engine.name,
      0,
    ]);
  }
}, 120_000);

test("a batch of any length is the batch of its points", () => {
  const scalar = freshScalar(random);
  const points = randomPoints(1100);
  const items = random.bytes(40 * 1100);
  const offsets = Uint32Array.from({ length: 1101 }, (_, i) => 40 * i);
  for (const engine of usable.filter(({ name }) => name !== "noble")) {
    const whole = engine.multiply(scalar, points);
    const hashed = engine.hashToCurve(items, offsets, utf8("d"));
    for (const n of [1, 2, 7, 8, 9, 511, 512, 513, 1024, 1099]) {
      const part = engine.multiply(scalar, points.subarray(0, 32 * n));
      expect([engine.name, n, Buffer.compare(part, whole.subarray(0, 32 * n))]).toEqual([
        engine.name,
        n,
        0,
      ]);
      const some = engine.hashToCurve(
        items.subarray(0, 40 * n),
        offsets.slice(0, n + 1),
        utf8("d"),
      );
      expect([engine.name, n, Buffer.compare(some, hashed.subarray(0, 32 * n))]).toEqual([
        engine.name,
        n,
        0,
      ]);
    }
  }
}, 60_000);

test("structured scalars and points are multiplied as the reference does", () => {
  const edges = [
    2n,
    4n,
    9n,
    19n,
    2n ** 51n - 1n,
    2n ** 51n,
    2n ** 102n,
    2n ** 204n,
    2n ** 254n,
    p - 2n,
    p - 3n,
    p - 19n,
    (p - 1n) / 2n,
    p - 2n ** 51n,
  ];
  const points = join(...edges.map(point));
  for (const fill of [0x00, 0xff, 0x55, 0x01, 0x80]) {
    const scalar = scalarFromBytes(new Uint8Array(32).fill(fill));
    const expected = nobleEngine.multiply(scalar, points);
    for (const engine of usable) expect(engine.multiply(scalar, points)).toEqual(expected);
  }
});

test("views into larger buffers are read at their own offset", () => {
  const scalar = freshScalar(random);
  const padded = join(new Uint8Array(5), nine, new Uint8Array(3)).subarray(5, 37);
  expect(nodeEngine.multiply(scalar, padded)).toEqual(nodeEngine.multiply(scalar, nine));
});

test("a scalar crosses to a thread, and does not show itself", async () => {
  const scalar = freshScalar(random);
  const worker = new Worker(
    `const { parentPort, workerData } = require("node:worker_threads");
     parentPort.postMessage([workerData.type, workerData.asymmetricKeyType].join());`,
    { eval: true, workerData: scalar },
  );
  const answer = await new Promise((resolve) => worker.once("message", resolve));
  expect(answer).toBe("private,x25519");
  const secret = scalar.export({ format: "jwk" }).d as string;
  expect(JSON.stringify(scalar) + String(scalar)).not.toContain(secret);
});

test("selectEngine gives the fastest with a reason, or exactly the one asked for", () => {
  const [fastest] = usable as [Curve25519Engine];
  expect(selectEngine().engine.name).toBe(fastest.name);
  expect(selectEngine().reason).toMatch(new RegExp(`^${fastest.name}: `));
  expect(selectEngine("noble").engine.name).toBe("noble");
  expect(code(() => selectEngine("magic" as "node"))).toMatch(/^unsupported/);
});
