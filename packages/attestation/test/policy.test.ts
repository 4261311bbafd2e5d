/** Policies: what is refused, by which path, and what a digest stands for. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  AttestationError,
  checkPolicy,
  explainPolicy,
  parsePolicy,
  policyDigest,
  policySchema,
} from "../src/index.ts";
import { simulatedVerifier } from "../src/simulated/index.ts";

const hex = "ab".repeat(32);
const key = `sha256:${hex}`;
const crypto = nodeCrypto();

// A function, so that each test changes a document of its own.
const document = (): Record<string, unknown> & { roles: { sender: Record<string, unknown> } } => ({
  version: 1,
  name: "two companies",
  roles: { sender: { identities: [key], accept: [record()] } },
});

const record = (): Record<string, unknown> => ({
  type: "simulated",
  isolation: "simulated",
  binding: "session",
  root: key,
  measurements: { code: [hex], runtime: [hex] },
  minimumSvn: { svn: 1 },
  tcb: ["UpToDate"],
  debug: false,
  maxAgeSeconds: 600,
});

function withRecord(changes: Record<string, unknown>): unknown {
  const accept = [{ ...record(), ...changes }];
  return { ...document(), roles: { sender: { identities: [key], accept } } };
}

function withoutField(name: string): unknown {
  const { [name]: _, ...rest } = record();
  return { ...document(), roles: { sender: { identities: [key], accept: [rest] } } };
}

function refusalOf(policy: unknown): string {
  try {
    parsePolicy(policy);
  } catch (error) {
    expect(error).toBeInstanceOf(AttestationError);
    expect((error as AttestationError).code).toBe("invalid-policy");
    return (error as AttestationError).message;
  }
  throw new Error("The policy was accepted.");
}

const at = "/roles/sender/accept/0";

describe("refused, by path (cczoo.md 9.2 D1-D3, D5, D7, D10)", () => {
  const cases: readonly (readonly [string, unknown, string])[] = [
    ["an SVN as text", withRecord({ minimumSvn: { svn: "3" } }), `${at}/minimumSvn/svn`],
    ["a negative SVN", withRecord({ minimumSvn: { svn: -1 } }), `${at}/minimumSvn/svn`],
    ["a fraction as SVN", withRecord({ minimumSvn: { svn: 1.5 } }), `${at}/minimumSvn/svn`],
    ["NaN as SVN", withRecord({ minimumSvn: { svn: Number.NaN } }), `${at}/minimumSvn/svn`],
    ["debug true", withRecord({ debug: true }), `${at}/debug`],
    ["debug as text", withRecord({ debug: "off" }), `${at}/debug`],
    ["debug as null", withRecord({ debug: null }), `${at}/debug`],
    ["debug as 0", withRecord({ debug: 0 }), `${at}/debug`],
    ["no measurements", withRecord({ measurements: {} }), `${at}/measurements`],
    ["no value", withRecord({ measurements: { code: [] } }), `${at}/measurements/code`],
    ["an empty value", withRecord({ measurements: { code: [""] } }), `${at}/measurements/code/0`],
    [
      "a short value",
      withRecord({ measurements: { code: [hex.slice(2)] } }),
      `${at}/measurements/code/0`,
    ],
    ["a wildcard", withRecord({ measurements: { code: ["*"] } }), `${at}/measurements/code/0`],
    [
      "upper-case hex",
      withRecord({ measurements: { code: [hex.toUpperCase()] } }),
      `${at}/measurements/code/0`,
    ],
    [
      "a value that is no list",
      withRecord({ measurements: { code: hex } }),
      `${at}/measurements/code`,
    ],
    ["no TCB state", withRecord({ tcb: [] }), `${at}/tcb`],
    ["revoked TCB", withRecord({ tcb: ["Revoked"] }), `${at}/tcb/0`],
    ["unknown TCB", withRecord({ tcb: ["Any"] }), `${at}/tcb/0`],
    ["an unknown field", withRecord({ allowDebug: true }), `${at}/allowDebug`],
    ["an unknown type", withRecord({ type: "dummy" }), `${at}/type`],
    ["simulated as a TEE", withRecord({ isolation: "tee" }), `${at}/isolation`],
    ["a TEE as simulated", withRecord({ type: "snp" }), `${at}/isolation`],
    ["a bare TPM as a TEE", withRecord({ type: "tpm", isolation: "tee" }), `${at}/isolation`],
    ["a session bound by SEV", withRecord({ type: "sev", isolation: "tee" }), `${at}/binding`],
    ["a root without its form", withRecord({ root: hex }), `${at}/root`],
    ["no age limit", withRecord({ maxAgeSeconds: 86_401 }), `${at}/maxAgeSeconds`],
    ["no age", withRecord({ maxAgeSeconds: 0 }), `${at}/maxAgeSeconds`],
    [
      "no identities",
      { ...document(), roles: { sender: { identities: [], accept: [record()] } } },
      "/roles/sender/identities",
    ],
    [
      "no records",
      { ...document(), roles: { sender: { identities: [key], accept: [] } } },
      "/roles/sender/accept",
    ],
    ["no roles", { ...document(), roles: {} }, "/roles"],
    ["another version", { ...document(), version: 2 }, "/version"],
    ["an unknown field on top", { ...document(), insecure: true }, "/insecure"],
    ["nothing", undefined, "/"],
    ["null", null, "/"],
    ["true", true, "/"],
    ["a list", [], "/"],
    ["an empty document", {}, "/version"],
  ];
  test.each(cases)("%s", (_, policy, path) => {
    expect(refusalOf(policy)).toContain(`\n  ${path}: `);
  });

  test.each(Object.keys(record()).filter((name) => name !== "root"))("without %s", (name) => {
    expect(refusalOf(withoutField(name))).toContain(`${at}/${name}: `);
  });

  test("every bad field at once", () => {
    const message = refusalOf(withRecord({ debug: 1, tcb: [], maxAgeSeconds: "600" }));
    for (const field of ["debug", "tcb", "maxAgeSeconds"])
      expect(message).toContain(`${at}/${field}:`);
  });

  test("fields lent by a prototype, a getter or __proto__", () => {
    const lent = Object.assign(Object.create({ roles: document().roles }), {
      version: 1,
      name: "x",
    });
    refusalOf(lent);
    const getter = { ...document() };
    Object.defineProperty(getter, "name", { get: () => "x", enumerable: true });
    expect(refusalOf(getter)).toContain("/name: expected data, got an accessor");
    refusalOf(JSON.parse(`{"__proto__": {}, "version": 1, "name": "x", "roles": {}}`));
    expect(({} as Record<string, unknown>)["version"]).toBeUndefined();
  });

  test("a document nested without end", () => {
    const deep: Record<string, unknown> = {};
    deep["roles"] = deep;
    refusalOf(deep);
  });
});

describe("checked against verifiers", () => {
  const check = (policy: unknown): void => checkPolicy(parsePolicy(policy), [simulatedVerifier()]);

  test("a record that pins enough passes", () => check(document()));
  test.each([
    ["no root", withoutField("root"), `${at}/root`],
    ["code alone", withRecord({ measurements: { code: [hex] } }), `${at}/measurements`],
    ["flags alone", withRecord({ measurements: { flags: [hex] } }), `${at}/measurements`],
    ["a type without verifier", withRecord({ type: "snp", isolation: "tee" }), `${at}/type`],
  ])("%s is refused", (_, policy, path) => {
    expect(() => check(policy)).toThrow(path);
  });
});

describe("digest", () => {
  test("stays what it was", async () => {
    expect(toHex(await policyDigest(crypto, parsePolicy(document())))).toBe(
      "393656fd66ae05be6aa624d997d9c1cac8e2aa0098df2b2fda397145076be5d0",
    );
  });

  test("is one for policies that differ in order only", async () => {
    const other = `sha256:${"cd".repeat(32)}`;
    const digest = async (policy: unknown): Promise<string> =>
      toHex(await policyDigest(crypto, parsePolicy(policy)));
    const accept = [record()];
    const a = { ...document(), roles: { sender: { identities: [key, other], accept } } };
    const b = {
      roles: { sender: { accept, identities: [other, key] } },
      name: "two companies",
      version: 1,
    };
    expect(await digest(a)).toBe(await digest(b));
  });

  test("changes with every field", async () => {
    const changed = [
      withRecord({ maxAgeSeconds: 601 }),
      withRecord({ minimumSvn: { svn: 2 } }),
      withRecord({ minimumSvn: {} }),
      withRecord({ tcb: ["OutOfDate"] }),
      withRecord({ binding: "key-only" }),
      withRecord({ root: `sha256:${"00".repeat(32)}` }),
      withRecord({ measurements: { code: [hex], runtime: [hex], flags: [hex] } }),
      { ...document(), name: "another" },
      document(),
    ];
    const digests = await Promise.all(
      changed.map(async (policy) => toHex(await policyDigest(crypto, parsePolicy(policy)))),
    );
    expect(new Set(digests).size).toBe(changed.length);
  });
});

test("a parsed policy cannot be changed afterwards", () => {
  const source = document();
  const policy = parsePolicy(source);
  expect(() => ((policy.roles as Record<string, unknown>)["other"] = {})).toThrow(TypeError);
  (source.roles.sender["identities"] as string[]).push("anyone");
  expect(policy.roles["sender"]?.identities).toEqual([key]);
});

test("random JSON is refused or parses to itself", () => {
  fc.assert(
    fc.property(fc.jsonValue(), (value) => {
      expect(() => parsePolicy(value)).toThrow(AttestationError);
    }),
    { numRuns: 200 },
  );
});

test("explain names every rule, and says that simulated is simulated", () => {
  const text = explainPolicy(parsePolicy(document())).join("\n");
  for (const part of [key, hex, "UpToDate", "600 s", "at least 1", "no debugger", "SIMULATED"]) {
    expect(text).toContain(part);
  }
});

test("the shipped schema is the one in force", () => {
  const file = new URL("../schema/policy.schema.json", import.meta.url);
  expect(JSON.parse(readFileSync(file, "utf8"))).toEqual(JSON.parse(JSON.stringify(policySchema)));
});

test("parses where code generation from strings is forbidden", () => {
  const script = `
    import { parsePolicy } from ${JSON.stringify(new URL("../dist/index.js", import.meta.url).href)};
    parsePolicy(${JSON.stringify(document())});
    try { parsePolicy({}); } catch (error) { process.stdout.write(error.code); }
  `;
  const flags = [
    "--disallow-code-generation-from-strings",
    "--disable-proto=delete",
    "--frozen-intrinsics",
    "--no-warnings",
  ];
  const out = execFileSync(process.execPath, [...flags, "--input-type=module", "-e", script], {
    cwd: fileURLToPath(new URL("..", import.meta.url)),
    encoding: "utf8",
  });
  expect(out).toBe("invalid-policy");
});
