/** Our CBOR against a library's: the same bytes for the same values, and nothing else is read. */
import { decode, encode, rfc8949EncodeOptions } from "cborg";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type CborValue, decodeCbor, encodeCbor } from "../src/cbor.ts";
import { AttestationError } from "../src/errors.ts";

const limits = { maxBytes: 65_536, maxDepth: 8, maxValues: 4096 };

const value: fc.Memo<CborValue> = fc.memo((n) =>
  n <= 1
    ? leaf
    : fc.oneof(
        leaf,
        fc.array(value(n - 1), { maxLength: 6 }),
        fc
          .array(
            fc.tuple(fc.oneof(fc.string({ unit: "grapheme" }), fc.maxSafeInteger()), value(n - 1)),
            { maxLength: 6 },
          )
          .map((entries) => new Map(entries)),
      ),
);
const leaf = fc.oneof(
  fc.constantFrom<CborValue>(
    null,
    true,
    false,
    0,
    23,
    24,
    255,
    256,
    65_535,
    65_536,
    2 ** 32,
    -1,
    -25,
  ),
  fc.maxSafeInteger(),
  fc.string({ unit: "grapheme" }),
  fc.uint8Array({ maxLength: 300 }),
);

const refused = (bytes: Uint8Array): boolean => {
  try {
    decodeCbor("It", bytes, limits);
    return false;
  } catch (error) {
    if (error instanceof AttestationError && error.code === "malformed") return true;
    throw error;
  }
};

describe("deterministic CBOR", () => {
  test("writes what cborg writes by RFC 8949 section 4.2.1, and reads it back", () => {
    fc.assert(
      fc.property(value(4), (written) => {
        const bytes = encodeCbor(written);
        expect(Buffer.from(bytes).toString("hex")).toBe(
          Buffer.from(encode(written, rfc8949EncodeOptions)).toString("hex"),
        );
        expect(decodeCbor("It", bytes, limits)).toEqual(written);
      }),
      { numRuns: 500 },
    );
  });

  test("reads nothing that it would not have written", () => {
    fc.assert(
      fc.property(value(3), fc.nat(), fc.nat({ max: 255 }), (written, at, byte) => {
        const bytes = encodeCbor(written);
        bytes[at % bytes.length] = byte;
        if (refused(bytes)) return;
        const read = decodeCbor("It", bytes, limits);
        expect(encodeCbor(read)).toEqual(bytes);
        expect(
          decode(bytes, { useMaps: true, rejectDuplicateMapKeys: true, strict: true }),
        ).toEqual(read);
      }),
      { numRuns: 2000 },
    );
  });

  test.each([
    ["a number in two bytes that fits in one", [0x18, 0x17]],
    ["a number in three bytes that fits in two", [0x19, 0x00, 0xff]],
    ["a number in nine bytes that fits in five", [0x1b, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]],
    ["a number over 2^53", [0x1b, 0x00, 0x20, 0, 0, 0, 0, 0, 0]],
    ["an indefinite text", [0x7f, 0x61, 0x61, 0xff]],
    ["an indefinite array", [0x9f, 0xff]],
    ["an indefinite map", [0xbf, 0xff]],
    ["a tag", [0xc0, 0x00]],
    ["a float", [0xf9, 0x00, 0x00]],
    ["undefined", [0xf7]],
    ["a break", [0xff]],
    ["a key twice", [0xa2, 0x01, 0x00, 0x01, 0x00]],
    ["keys in another order", [0xa2, 0x02, 0x00, 0x01, 0x00]],
    ["a key that is null", [0xa1, 0xf6, 0x00]],
    ["text that is not UTF-8", [0x61, 0xff]],
    ["trailing bytes", [0x00, 0x00]],
    ["a length past the end", [0x5a, 0xff, 0xff, 0xff, 0xff]],
    ["a count past the end", [0x9a, 0xff, 0xff, 0xff, 0xff]],
    ["nothing", []],
  ])("refuses %s", (_, bytes) => {
    expect(refused(Uint8Array.from(bytes))).toBe(true);
  });

  test("refuses depth, values and bytes over the limits before they cost anything", () => {
    expect(refused(new Uint8Array(60_000).fill(0x81))).toBe(true);
    expect(refused(Uint8Array.from([0x99, 0x13, 0x88, ...new Array<number>(5000).fill(0)]))).toBe(
      true,
    );
    expect(refused(new Uint8Array(70_000))).toBe(true);
  });
});
