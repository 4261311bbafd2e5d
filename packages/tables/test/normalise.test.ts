import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  canonicalNormaliser,
  compileNormalisers,
  e164,
  email,
  lower,
  nfkc,
  requireNormaliser,
  trim,
} from "../src/normalise.ts";

const text = fc.oneof(
  fc.string({ unit: "grapheme", maxLength: 40 }),
  fc.string({ unit: "binary", maxLength: 40 }).filter((s) => !/\p{Surrogate}/u.test(s)),
);
const address = fc
  .tuple(
    fc.string({ unit: "grapheme-ascii", maxLength: 12 }),
    fc.domain(),
    fc.constantFrom("", " ", "\ufeff"),
  )
  .map(([local, domain, space]) => `${space}${local}@${domain}${space}`);
const number = fc
  .tuple(
    fc.constantFrom("", "+", "00", "+49 ", "(0)", " "),
    fc.stringMatching(/^[0-9 ()./-]{0,18}$/),
  )
  .map(([prefix, rest]) => prefix + rest);

describe("normalisers", () => {
  const cases = { trim, nfkc, lower, email, e164, "e164:DE": (v: string) => e164(v, "DE") };
  for (const [name, normalise] of Object.entries(cases)) {
    it(`${name} is idempotent`, () => {
      fc.assert(
        fc.property(fc.oneof(text, address, number, fc.emailAddress()), (value) => {
          const once = normalise(value);
          if (once !== undefined) expect(normalise(once)).toBe(once);
        }),
        { numRuns: 400 },
      );
    });
  }

  it.each([
    [" Anna.Muster+x@Example.COM ", "anna.muster+x@example.com"],
    ["ａｎｎａ＠ｅｘａｍｐｌｅ．ｃｏｍ", "anna@example.com"],
    ["müller@bücher.de", "müller@xn--bcher-kva.de"],
    ["o'neil@例え.jp", "o'neil@xn--r8jz45g.jp"],
    ["", ""],
    [" \ufeff", ""],
    ["anna", undefined],
    ["@example.com", undefined],
    ["anna@", undefined],
    ["anna@@example.com", undefined],
    ["anna@localhost", undefined],
    ["anna@1.2", undefined],
    ["anna@example.0x10", undefined],
    ["anna@[127.0.0.1]", undefined],
    ["anna@exa%6dple.com", undefined],
    ["anna@-a.com", undefined],
    ["an na@example.com", undefined],
    ['"anna"@example.com', undefined],
    [".anna@example.com", undefined],
    ["an..na@example.com", undefined],
    ["Anna <anna@example.com>", undefined],
    [`${"a".repeat(65)}@example.com`, undefined],
    ["anna@example.com\u0000", undefined],
  ])("email(%j) is %j", (value, expected) => {
    expect(email(value)).toBe(expected);
  });

  it.each([
    ["+49 30 123456", undefined, "+4930123456"],
    ["030/123 456", "DE", "+4930123456"],
    ["(030) 123-456", "DE", "+4930123456"],
    ["0049 30 123456", "DE", "+4930123456"],
    ["+1 (212) 555-0123", "DE", "+12125550123"],
    ["１３８ ０００１ ２３４５", "CN", "+8613800012345"],
    ["030 123456", undefined, undefined],
    ["+49 30 123456 ext. 5", undefined, undefined],
    ["call +49 30 123456", "DE", undefined],
    ["12", "DE", undefined],
    ["", "DE", ""],
    ["+".repeat(100), "DE", undefined],
  ])("e164(%j, %j) is %j", (value, region, expected) => {
    expect(e164(value, region)).toBe(expected);
  });

  it("applies from left to right and stops at what does not parse", () => {
    expect(compileNormalisers(["trim", "nfkc", "lower"])(" ＡÉ ")).toBe("aé");
    expect(compileNormalisers(["email", "lower"])("nobody")).toBeUndefined();
    expect(compileNormalisers([])(" 007 ")).toBe(" 007 ");
  });

  it("names them with their version, and refuses unknown ones", () => {
    expect(canonicalNormaliser("trim")).toBe("trim/1");
    expect(canonicalNormaliser("e164:DE")).toBe("e164/1:DE");
    for (const name of [
      "",
      "upper",
      "trim:DE",
      "e164:XX",
      "e164:de",
      "e164:DE:1",
      "toString",
      "__proto__",
    ]) {
      expect(() => requireNormaliser(name)).toThrow(
        expect.objectContaining({ code: "invalid-argument" }),
      );
    }
  });
});
