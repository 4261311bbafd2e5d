/** Reference values of others: CoRIM, RVPS, JSON; real ones where they are, and each kind of lie. */
import { concat, toHex, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { describe, expect, test } from "vitest";
import { encodeCbor } from "../src/cbor.ts";
import { AttestationError, type EvidenceType, statementDigests } from "../src/index.ts";
import { type ImportOptions, importReferences } from "../src/reference/index.ts";
import { measurementName } from "../src/reference/names.ts";
import { hardwareSubjects } from "./synthetic/subjects.ts";
import { readVector } from "./truth/real.ts";
import { hasVectors } from "./vectors.ts";

const crypto = nodeCrypto();
const origin = { how: "imported", at: "2026-06-01T00:00:00.000Z", sources: [] } as const;
const options: ImportOptions = { crypto, name: "a release", origin };
const hex = (byte: string, bytes = 48) => byte.repeat(bytes);

async function codeOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
    return "accepted";
  } catch (error) {
    return error instanceof AttestationError ? error.code : `other: ${String(error)}`;
  }
}

const json = (document: unknown, more: Partial<ImportOptions> = {}) =>
  importReferences(utf8(JSON.stringify(document)), { ...options, ...more });

describe.skipIf(!hasVectors)("real manifests", () => {
  test("CoRIM of an Arm platform: one record, by component", async () => {
    const corim = readVector("cca/veraison-services/cca-endorsements.cbor");
    const { references, unused } = await importReferences(corim, options);
    expect(references).toHaveLength(1);
    expect(references[0]).toMatchObject({
      ...{ name: "ACME RoadRunner", type: "cca", notAfter: "2025-12-31T00:00:00.000Z" },
      measurements: {
        implementation_id: ["00".repeat(32)],
        platform_bl: ["07060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918"],
        platform_m1: ["0b060504030201000f0e0d0c0b0a090817161514131211101f1e1d1c1b1a1918"],
      },
    });
    // The platform's configuration, its key, and the manifest it depends on.
    expect(unused).toEqual(expect.arrayContaining(["dependent manifests", "triples of kind 3"]));
    expect(unused.join()).toContain("raw value");
  });

  test("CoRIM of a realm: its registers", async () => {
    const corim = readVector("cca/veraison-services/cca-realm-endorsements.cbor");
    const { references } = await importReferences(corim, options);
    const register = [hex("43", 64)];
    expect(references[0]?.measurements).toEqual({
      personalization: [toHex(utf8("AD".repeat(32)))],
      ...{ rim: register, rem_0: register, rem_1: register, rem_2: register, rem_3: register },
    });
  });

  test("CoRIM that is signed counts under its key alone", async () => {
    const corim = readVector("cca/corim/signed-example-corim.cbor");
    expect(await codeOf(importReferences(corim, options))).toBe("not-genuine");
    const { publicKey: key } = await crypto.generateSigner("ES256");
    expect(await codeOf(importReferences(corim, { ...options, key }))).toBe("not-genuine");
    // Its components have names that no verifier here knows.
    const plain = readVector("cca/corim/unsigned-example-corim.cbor");
    expect(await codeOf(importReferences(plain, options))).toBe("malformed");
  });

  test("stores of Arm CCA: a platform and a realm, or one state of both", async () => {
    const store = readVector("cca/trustee/rvstore.json");
    const { references, unused } = await importReferences(store, options);
    expect(references.map(({ name }) => name)).toEqual(["a release, part 1", "a release, part 2"]);
    expect(unused).toContain("signer-id and version of components");
    const [both] = (await importReferences(store, { ...options, join: true })).references;
    expect(Object.keys(both?.measurements ?? {})).toEqual(
      expect.arrayContaining(["implementation_id", "platform_rmm", "rim", "rem_3"]),
    );
    const several = readVector("cca/rust-ccatoken/rv.json");
    expect((await importReferences(several, options)).references).toHaveLength(3);
    // Two platforms are not one state.
    expect(await codeOf(importReferences(several, { ...options, join: true }))).toBe("malformed");
  });
});

describe("RVPS", () => {
  const type = "tdx";
  const sample = {
    mr_td: [hex("aa"), hex("BB")],
    "tdx.quote.body.rtmr_1": hex("cc"),
    rtmr2: [hex("dd")],
  };
  const expected = { mr_td: [hex("aa"), hex("bb")], rtmr_1: [hex("cc")], rtmr_2: [hex("dd")] };
  const message = (kind: string, payload: Uint8Array) => ({
    ...{ version: "0.1.0", type: kind, payload: Buffer.from(payload).toString("base64") },
  });

  test("a map, and the message around it", async () => {
    const { references, unused } = await json(sample, { type });
    expect(references[0]).toMatchObject({ name: "a release", type, measurements: expected });
    expect(unused).toEqual([]);
    const wrapped = await json(message("sample", utf8(JSON.stringify(sample))), { type });
    expect(wrapped.references).toEqual(references);
  });

  test("stored values, which end with the first of them", async () => {
    const store = [
      {
        version: "0.1.0",
        name: "rvps:///a/b/mr_td:v1",
        value: [hex("aa")],
        expiration: "2027-01-02T00:00:00Z",
      },
      { version: "0.1.0", name: "rtmr_1", value: hex("cc"), expiration: "2027-01-01T00:00:00Z" },
      // Nothing of ours: its end is nobody's.
      { version: "0.1.0", name: "kernel", value: hex("cc"), expiration: "2020-01-01T00:00:00Z" },
    ];
    const { references, unused } = await json(store, { type });
    expect(references[0]).toMatchObject({
      measurements: { mr_td: [hex("aa")], rtmr_1: [hex("cc")] },
      notAfter: "2027-01-01T00:00:00.000Z",
    });
    expect(unused).toEqual(["kernel: tdx measures nothing of that name"]);
  });

  test("tells what is not used, and refuses what is of no use at all", async () => {
    const { unused } = await json({ ...sample, mr_seam: ["abcd", 7], svn: 3 }, { type });
    expect(unused).toHaveLength(3);
    expect(await codeOf(json({ svn: 3 }, { type }))).toBe("malformed");
    expect(await codeOf(json(sample))).toBe("malformed");
    expect(await codeOf(json(message("in-toto", utf8("{}")), { type }))).toBe("malformed");
    const twice = message("sample", utf8(JSON.stringify(message("sample", utf8("{}")))));
    expect(await codeOf(json(twice, { type }))).toBe("malformed");
    expect(await codeOf(json({ ...message("sample", utf8("")), payload: 1 }, { type }))).toBe(
      "malformed",
    );
    const bad = [{ name: "mr_td", value: hex("aa"), expiration: "soon" }];
    expect(await codeOf(json(bad, { type }))).toBe("malformed");
    for (const text of ["", "{", "3", "[3]", "<x/>", "\u0000"]) {
      expect(await codeOf(importReferences(utf8(text), { ...options, type }))).toBe("malformed");
    }
  });

  test("does not count under a key: nothing of it is signed", async () => {
    const { publicKey: key } = await crypto.generateSigner("ES256");
    expect(await codeOf(json(sample, { type, key }))).toBe("not-genuine");
  });
});

describe("CoRIM", () => {
  // Encoded parts: our own encoder has no tags.
  const head = (major: number, value: number): Uint8Array =>
    value < 24
      ? Uint8Array.of((major << 5) | value)
      : Uint8Array.of((major << 5) | 25, value >> 8, value & 255);
  const tag = (number: number, item: Uint8Array) => concat(head(6, number), item);
  const list = (...items: Uint8Array[]) => concat(head(4, items.length), ...items);
  const map = (...entries: (readonly [number | string, Uint8Array])[]) =>
    concat(head(5, entries.length), ...entries.flatMap(([key, item]) => [encodeCbor(key), item]));
  const bytes = (item: Uint8Array) => encodeCbor(item);
  const text = (word: string) => encodeCbor(word);
  const digest = (algorithm: number, length: number) =>
    list(encodeCbor(algorithm), bytes(new Uint8Array(length).fill(7)));
  const measurement = (name: string, ...digests: Uint8Array[]) =>
    map([0, text(name)], [1, map([2, list(...digests)])]);
  const corim = (triples: Uint8Array, ...more: (readonly [number, Uint8Array])[]) => {
    const comid = map([1, map([0, text("x")])], [4, map([0, triples])]);
    return tag(501, map([0, text("id")], [1, list(tag(506, bytes(comid)))], ...more));
  };
  const environment = map([0, map([1, text("ACME")], [2, text("VM 3")])]);
  const good = corim(
    list(
      list(
        environment,
        list(measurement("mr_td", digest(7, 48)), measurement("rtmr1", digest(7, 48))),
      ),
      list(environment, list(measurement("mr_td", digest(7, 48)))),
    ),
  );
  const of = (document: Uint8Array, more: Partial<ImportOptions> = {}) =>
    importReferences(document, { ...options, type: "tdx", ...more });

  test("gives a record for each environment", async () => {
    const { references, unused } = await of(good);
    expect(unused).toEqual([]);
    expect(references.map(({ name, measurements }) => [name, Object.keys(measurements)])).toEqual([
      ["ACME VM 3", ["mr_td", "rtmr_1"]],
      ["ACME VM 3", ["mr_td"]],
    ]);
    expect((await of(tag(500, good))).references).toEqual(references);
  });

  test("signed by the named key counts, and by that alone", async () => {
    const signer = await crypto.generateSigner("ES256");
    const sign = async (payload: Uint8Array) => {
      const header = encodeCbor(new Map([[1, -7]]));
      const input = encodeCbor(["Signature1", header, new Uint8Array(0), payload]);
      const parts = [header, new Map<string, never>(), payload, await signer.sign(input)];
      return concat(Uint8Array.of(0xd2), encodeCbor(parts));
    };
    const signed = await sign(good);
    const { publicKey: key } = signer;
    expect((await of(signed, { key })).references).toHaveLength(2);
    expect(await codeOf(of(signed))).toBe("not-genuine");
    expect(await codeOf(of(good, { key }))).toBe("not-genuine");
    const { publicKey: other } = await crypto.generateSigner("ES256");
    expect(await codeOf(of(signed, { key: other }))).toBe("not-genuine");
    const at = toHex(signed).indexOf("07".repeat(48)) / 2;
    const forged = new Uint8Array(signed);
    forged[at] = 8;
    expect(await codeOf(of(forged, { key }))).toBe("not-genuine");
  });

  test.each([
    [
      "a digest that is too short for its algorithm",
      list(list(environment, list(measurement("mr_td", digest(7, 32))))),
    ],
    [
      "a measurement that evidence does not have",
      list(list(environment, list(measurement("kernel", digest(7, 48))))),
    ],
    ["a list where a map belongs", list(list(list(), list()))],
    ["a map where a list belongs", map([0, list()])],
    ["no triples", list()],
  ])("with %s is refused", async (_name, triples) => {
    expect(await codeOf(of(corim(triples)))).toBe("malformed");
  });

  test("is refused without its tag, its type, or with another end than a time", async () => {
    expect(await codeOf(of(good.slice(3)))).toBe("malformed");
    expect(await codeOf(importReferences(good, options))).toBe("malformed");
    const never = corim(list(), [4, map([1, text("never")])]);
    expect(await codeOf(of(never))).toBe("malformed");
  });

  test("gives references or an error of ours, whatever is changed in it", async () => {
    let refused = 0;
    for (let at = 0; at < good.length; at++) {
      for (const value of [0x00, 0x1f, 0x5f, 0x9f, 0xbf, 0xd8, 0xff]) {
        const copy = new Uint8Array(good);
        copy[at] = value;
        const code = await codeOf(of(copy));
        expect(code, `byte ${at} as ${value}`).toMatch(/^(accepted|malformed|not-genuine)$/);
        if (code !== "accepted") refused++;
      }
      expect(await codeOf(of(good.slice(0, at)))).toBe("malformed");
    }
    expect(refused).toBeGreaterThan(good.length);
  });
});

describe("SWID", () => {
  const spaces = [
    'xmlns="http://standards.iso.org/iso/19770/-2/2015/schema.xsd"',
    'xmlns:SHA256="http://www.w3.org/2001/04/xmlenc#sha256"',
    'xmlns:S3="http://www.w3.org/2001/04/xmldsig-more#sha384"',
  ].join(" ");
  const tag = (payload: string, more = "") =>
    `<?xml version="1.0" encoding="UTF-8"?>\n<!-- a tag --><SoftwareIdentity ${spaces} name="web &amp; more" version='1.2' ${more}><Entity name="ACME"/><Payload>${payload}</Payload></SoftwareIdentity>\n`;
  const of = (text: string, more: Partial<ImportOptions> = {}) =>
    importReferences(utf8(text), { ...options, type: "tdx", ...more });
  const file = `<Directory name="x"><File name="mr_td" S3:hash="${hex("AB")}"/></Directory>`;

  test("gives one record of the digests of its payload", async () => {
    const resource = `<Resource type="Measurement" name="rtmr1" Hash0="${hex("cd")}" Hash1="${hex("ef")}" size="48"></Resource>`;
    const { references, unused } = await of(tag(file + resource));
    expect(unused).toEqual([]);
    expect(references).toEqual([
      {
        ...{ name: "web & more 1.2", type: "tdx", minimumSvn: {}, origin },
        measurements: { mr_td: [hex("ab")], rtmr_1: [hex("cd"), hex("ef")] },
      },
    ]);
    const message = { version: "0.1.0", type: "swid", payload: btoa(tag(file)) };
    expect((await json(message, { type: "tdx" })).references[0]?.measurements).toEqual({
      mr_td: [hex("ab")],
    });
  });

  test("tells what it does not use", async () => {
    const others = [
      `<File name="vmlinuz" S3:hash="${hex("cd")}"/>`,
      `<File name="rtmr_1" SHA256:hash="${hex("cd")}"/>`,
      `<File name="rtmr_2" MD5:hash="00"/>`,
      `<Resource name="rtmr_3" active="False" Hash0="${hex("cd")}"/>`,
      "<Signature/>",
    ];
    const { references, unused } = await of(tag(file + others.join("")));
    expect(Object.keys(references[0]?.measurements ?? {})).toEqual(["mr_td"]);
    expect(unused).toHaveLength(5);
    // What somebody found on a machine is no reference.
    const found = tag("").replace(
      "</SoftwareIdentity>",
      `<Evidence>${file}</Evidence></SoftwareIdentity>`,
    );
    expect(await codeOf(of(found))).toBe("malformed");
  });

  test.each([
    ["another root", "<Payload/>"],
    ["a document type", tag(file).replace("<!-- a tag -->", "<!DOCTYPE x [<!ENTITY a 'b'>]>")],
    ["an entity of its own", tag(file, 'x="&a;"')],
    ["an entity without its end", tag(file, 'x="&amp"')],
    ["CDATA", tag(`<![CDATA[x]]>${file}`)],
    ["an instruction", tag(`<?x y?>${file}`)],
    ["an attribute twice", tag(file, 'a="1" a="2"')],
    ["an element that ends as another", tag(`<File></Resource>${file}`)],
    ["two roots", `${tag(file)}<SoftwareIdentity/>`],
    ["an end missing", tag(file).replace("</SoftwareIdentity>", "")],
    ["a comment without an end", tag("<!-- ")],
    ["a tag without an end", "<SoftwareIdentity"],
    ["nesting without end", tag("<a>".repeat(20) + "</a>".repeat(20) + file)],
    ["more elements than there may be", tag("<a/>".repeat(10_001) + file)],
  ])("with %s is refused", async (_name, text) => {
    expect(await codeOf(of(text))).toBe("malformed");
  });

  test("is refused without a type, and under a key", async () => {
    const { type: _, ...untyped } = { ...options, type: "tdx" };
    expect(await codeOf(importReferences(utf8(tag(file)), untyped))).toBe("malformed");
    const { publicKey: key } = await crypto.generateSigner("ES256");
    expect(await codeOf(of(tag(file), { key }))).toBe("not-genuine");
  });

  test("gives references or an error of ours, whatever is changed in it", async () => {
    const whole = tag(file);
    for (let at = 0; at < whole.length; at += 3) {
      for (const character of ["<", ">", '"', "&", "/", " "]) {
        const text = whole.slice(0, at) + character + whole.slice(at + 1);
        expect(await codeOf(of(text)), `${character} at ${at}`).toMatch(/^(accepted|malformed)$/);
      }
    }
  });
});

test.each(hardwareSubjects)("every measurement of $name has its name here", async ({ make }) => {
  const subject = await make(crypto);
  const evidence = await (await subject.attester()).collect(subject.binding);
  const { now, collateral } = subject;
  const { type, measurements } = await subject.verifier.verify(evidence, {
    crypto,
    now,
    collateral,
  });
  for (const name of Object.keys(measurements)) {
    if (statementDigests.some((digest) => digest === name)) continue;
    expect(measurementName(type, name)).toBe(name);
  }
});

test.each([
  ["tdx", "MRTD", "mr_td"],
  ["tdx", "rtmr0", "rtmr_0"],
  ["tdx", "rtmr_4", undefined],
  ["tpm", "pcr4", "pcr04"],
  ["tpm", "pcr24", undefined],
  ["nitro", "pcr4", "pcr4"],
  ["snp", "snp_launch_measurement", "measurement"],
  ["csv", "measurement", "measure"],
  ["snp", "constructor", undefined],
] as const)("%s calls %s %s", (type: EvidenceType, name, ours) => {
  expect(measurementName(type, name)).toBe(ours);
});
