import { systemRandom, utf8 } from "@vivarium/core";
import { expect, test } from "vitest";
import { freshScalar, invertibleScalar, surveyEngines } from "../src/index.ts";

const random = systemRandom();
const working = surveyEngines().filter(({ problem }) => problem === undefined);

test.each(working.map(({ engine }) => engine))(
  "$name: a scalar and its inverse leave what another scalar does",
  (engine) => {
    const items = utf8("abcdef");
    const points = engine.hashToCurve(items, Uint32Array.of(0, 1, 2, 3, 4, 5, 6), utf8("test"));
    for (let i = 0; i < 8; i++) {
      const { scalar, inverse } = invertibleScalar(random);
      const other = freshScalar(random);
      const blinded = engine.multiply(scalar, points);
      expect(blinded).not.toEqual(points);
      const answered = engine.multiply(other, blinded);
      // The cofactor is in the points still: either side clears it.
      expect(engine.multiply(inverse, answered)).toEqual(engine.multiply(other, points));
      expect(engine.multiply(scalar, answered)).not.toEqual(engine.multiply(other, points));
    }
  },
);

test("scalars are clamped, and differ", () => {
  const seen = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const { scalar, inverse } = invertibleScalar(random);
    for (const key of [scalar, inverse]) {
      const bytes = key.export({ format: "der", type: "pkcs8" }).subarray(-32);
      expect((bytes[0] as number) & 7).toBe(0);
      expect((bytes[31] as number) & 0xc0).toBe(0x40);
      seen.add(bytes.toString("hex"));
    }
  }
  expect(seen.size).toBe(40);
});
