import { createSecretKey } from "node:crypto";
import { fromHex, systemRandom, toHex, utf8 } from "@vivarium/core";
import * as addon from "@vivarium/curve25519/addon";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { digestByNode, digestRecords, keyedByNode, keyedDigests } from "../src/digest.ts";

const random = systemRandom();

function batch(lengths: readonly number[]): { items: Uint8Array; offsets: Uint32Array } {
  const offsets = new Uint32Array(lengths.length + 1);
  for (const [i, length] of lengths.entries()) offsets[i + 1] = (offsets[i] as number) + length;
  return { items: random.bytes(offsets[lengths.length] as number), offsets };
}

test("what is tested here is the native code", ({ skip }) => {
  if (addon.digest === undefined) skip("the native kernel is not compiled here");
  expect(addon.keyed).toBeTypeOf("function");
});

describe("digestRecords", () => {
  test("gives SHA-256 of FIPS 180-4", () => {
    const digest = digestRecords(utf8("ab"), utf8("c"), 1, 32);
    expect(toHex(digest)).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });

  test("agrees with OpenSSL for every length of prefix and record around a block", () => {
    for (let prefix = 0; prefix <= 130; prefix++) {
      const bytes = 1 + (prefix % 64);
      const head = random.bytes(prefix);
      const records = random.bytes(5 * bytes);
      const width = 1 + (prefix % 32);
      const expected = new Uint8Array(5 * width);
      digestByNode(head, records, bytes, width, expected);
      expect(digestRecords(head, records, bytes, width)).toEqual(expected);
    }
  });

  test("refuses records and widths that do not fit", () => {
    const refused = expect.objectContaining({ code: "invalid-argument" });
    for (const [bytes, record, width] of [
      [33, 32, 10],
      [0, 0, 10],
      [65, 65, 10],
      [32, 32, 0],
      [32, 32, 33],
    ] as const) {
      expect(() => digestRecords(utf8("x"), new Uint8Array(bytes), record, width)).toThrow(refused);
    }
  });
});

describe("keyedDigests", () => {
  test("is HMAC-SHA-256 over the framed item", () => {
    // HMAC-SHA-256(0b × 32, 00000008 ‖ "Hi There"), by `openssl mac`.
    const key = createSecretKey(new Uint8Array(32).fill(0x0b));
    const items = utf8("Hi There");
    const mac = keyedDigests(key, items, Uint32Array.of(0, items.length), 32);
    const expected = new Uint8Array(32);
    keyedByNode(key, items, Uint32Array.of(0, items.length), 32, expected);
    expect(mac).toEqual(expected);
    expect(mac).toEqual(
      fromHex("d9bd24ce26fc4807012cae631fe272cfd800e2a825c07253edb31b10b70ac0b9"),
    );
  });

  test("agrees with OpenSSL for every length up to some blocks, and for long items", () => {
    const key = createSecretKey(random.bytes(32));
    const { items, offsets } = batch([...Array(600).keys(), 4096, 65_536]);
    const expected = new Uint8Array((offsets.length - 1) * 13);
    keyedByNode(key, items, offsets, 13, expected);
    expect(keyedDigests(key, items, offsets, 13)).toEqual(expected);
  });

  test("agrees with OpenSSL for any batch", () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(300), { maxLength: 40 }),
        fc.integer({ min: 1, max: 32 }),
        (lengths, width) => {
          const key = createSecretKey(random.bytes(32));
          const { items, offsets } = batch(lengths);
          const expected = new Uint8Array(lengths.length * width);
          keyedByNode(key, items, offsets, width, expected);
          expect(keyedDigests(key, items, offsets, width)).toEqual(expected);
        },
      ),
      { numRuns: 50 },
    );
  });

  test("refuses other keys and offsets that do not fit", () => {
    const refused = expect.objectContaining({ code: "invalid-argument" });
    const short = createSecretKey(new Uint8Array(16));
    const key = createSecretKey(new Uint8Array(32));
    expect(() => keyedDigests(short, utf8("x"), Uint32Array.of(0, 1), 10)).toThrow(refused);
    expect(() => keyedDigests(key, utf8("x"), Uint32Array.of(0, 2), 10)).toThrow(refused);
    expect(() => keyedDigests(key, utf8("xy"), Uint32Array.of(0, 2, 1, 2), 10)).toThrow(refused);
  });
});
