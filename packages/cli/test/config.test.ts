import { readFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseEndpoint } from "../src/config/endpoint.ts";
import { psiConfig } from "../src/config/psi.ts";
import { schemaFiles } from "../src/config/schemas.ts";
import { parseYaml } from "../src/config/yaml.ts";
import { createCli, errorLine } from "./support.ts";

const good = `version: 1
workload: psi
role: receiver
policy: policy.yaml
listen: 0.0.0.0:7443
evidence: simulated
input:
  path: customers.csv
  keys:
    - columns: [email]
      normalise: [trim, nfkc, email]
output:
  path: shared.csv
  format: csv
mode: intersection
resultTo: receiver
receipt: alice.receipt
`;

const load = (text: string) => psiConfig(parseYaml(text, "alice.yaml"), "/data");

/** What is wrong with the good configuration after a change. */
function problemOf(from: string, to: string): string {
  expect(good).toContain(from);
  try {
    load(good.replace(from, to));
  } catch (error) {
    expect(error).toMatchObject({ domain: "cli", code: "invalid-config" });
    return (error as Error).message;
  }
  throw new Error("accepted");
}

describe("a psi configuration", () => {
  it("is read with paths relative to its file", () => {
    expect(load(good)).toMatchObject({
      role: "receiver",
      policy: "/data/policy.yaml",
      network: { listen: { host: "0.0.0.0", port: 7443 } },
      input: { path: "/data/customers.csv" },
      output: { path: "/data/shared.csv", format: "csv" },
      receipt: "/data/alice.receipt",
      timeoutMs: 3_600_000,
      metrics: undefined,
    });
  });

  it.each([
    [
      "role: receiver",
      "role: king",
      "alice.yaml:3:1: role: must be one of receiver, sender, is king",
    ],
    ["role: receiver", "rolle: receiver", "alice.yaml:3:1: rolle: is not a known field"],
    ["role: receiver\n", "", "alice.yaml:1:1: role: is required"],
    ["version: 1", "version: 2", "alice.yaml:1:1: version: must be 1, is 2"],
    ["version: 1", "version: '1'", "alice.yaml:1:1: version: must be 1, is 1"],
    ["evidence: simulated\n", "", "evidence: is required"],
    ["evidence: simulated", "evidence: sgx", "evidence: must be one of"],
    ["policy: policy.yaml", "policy: [1]", "alice.yaml:4:1: policy: must be text, is a list"],
    ["policy: policy.yaml", "policy:", "alice.yaml:4:1: policy: must be text, is empty"],
    ["[email]", "[]", "alice.yaml:10:7: input.keys[0].columns: needs at least 1 entries"],
    ["[email]", "[a, a]", "input.keys[0].columns: has the same entry twice"],
    ["nfkc", "NFKC", "alice.yaml:11:25: input.keys[0].normalise[1]: must be one of trim, nfkc"],
    ["keys:", "keyz:", "input.keyz: is not a known field"],
    ["listen: 0.0.0.0:7443\n", "", "listen: is required, or connect"],
    [
      "listen: 0.0.0.0:7443",
      "listen: 0.0.0.0:7443\nconnect: a:1",
      "connect: cannot be given together",
    ],
    ["listen: 0.0.0.0:7443", "listen: 7443", "listen: must be text, is 7443"],
    ["listen: 0.0.0.0:7443", "listen: a:70000", "listen: has port 70000, must be 1 to 65535"],
    ["listen: 0.0.0.0:7443", "connect: a:0", "connect: has port 0"],
    ["listen: 0.0.0.0:7443", "listen: ::1:7443", "listen: must be host:port; IPv6"],
    ["format: csv", "format: xlsx", "output.format: must be one of csv, parquet, is xlsx"],
    ["mode: intersection", "mode: cardinality", "output: must be absent: in mode cardinality"],
    ["role: receiver", "role: sender", "output: must be absent: the result goes to the receiver"],
    ["output:\n  path: shared.csv\n  format: csv\n", "", "output: is required"],
    ["nfkc, email]\n", "e164]\n", "input.keys[0].region: is required for e164"],
    ["[trim,", "[ trim,", ""],
    ["nfkc, email]\n", "email]\n      region: DE\n", "region: has no meaning without e164"],
    ["nfkc, email]\n", "e164]\n      region: de\n", "region: must be a two-letter country code"],
    ["columns: [email]", "columns: [email]\n      as: [a, b]", "as: must have one name for each"],
    [
      "path: customers.csv",
      "path: c.parquet\n  format: parquet\n  header: true",
      "header: has no meaning",
    ],
    ["path: customers.csv", "path: c.csv\n  delimiter: ab", "delimiter: is longer than 1"],
    ["path: shared.csv", "path: ./customers.csv", "output.path: is the same file as input.path"],
    ["receipt: alice.receipt", "receipt: policy.yaml", "receipt: is the same file as policy"],
    [
      "receipt: alice.receipt",
      "receipt: r\ntimeoutSeconds: 0",
      "timeoutSeconds: must be at least 1, is 0",
    ],
    ["receipt: alice.receipt", "receipt: r\ntimeoutSeconds: 1.5", "must be a whole number, is 1.5"],
    [
      "receipt: alice.receipt",
      "receipt: r\nminItems: 9\nmaxItems: 8",
      "minItems: is more than maxItems",
    ],
    ["mode: intersection", "mode: labels\nlabels:\n  columns: [vendor]\n  maxBytes: 60", ""],
    ["mode: intersection", "mode: labels", "labels: is required in mode labels"],
    [
      "mode: intersection",
      "mode: intersection\nsum: {column: a, decimals: 2, minMatches: 5}",
      "sum: has a meaning in mode sum only",
    ],
    [
      "mode: intersection",
      "mode: sum\nsum: {column: a, decimals: 2, minMatches: 5}",
      "output: must be absent: in mode sum",
    ],
    [
      "mode: intersection",
      "protocol: attested\nmode: labels\nlabels: {columns: [a], maxBytes: 60}",
      "protocol: must be ecdh in mode labels",
    ],
    [
      "mode: intersection",
      "mode: labels\nlabels: {columns: [a], maxBytes: 60}\ncheckpoint: {directory: c, key: k}",
      "checkpoint: has no meaning in mode labels",
    ],
    ["mode: intersection", "mode: intersection\ncheckpoint: {directory: c, key: k}", ""],
    [
      "mode: intersection",
      "mode: intersection\ncheckpoint: {directory: c, key: c/k}",
      "checkpoint.key: must not lie in the directory",
    ],
    [
      "mode: intersection",
      "mode: intersection\nprotocol: attested\ncheckpoint: {directory: c, key: k}",
      "checkpoint: has no meaning for protocol attested",
    ],
    ["version: 1", "version: 1\nversion: 1", "alice.yaml:2:1: Map keys must be unique"],
    ["receipt: alice.receipt", "receipt: &r a\nidentity: *r", "aliases (*name) are not allowed"],
    ["version: 1", "version: !!js/function 1", "alice.yaml:1:10: Unresolved tag"],
    ["mode: intersection", "mode: [", "alice.yaml:16:"],
  ])("with %j as %j is refused: %s", (from, to, message) => {
    if (message === "") expect(() => load(good.replace(from, to))).not.toThrow();
    else expect(problemOf(from, to)).toContain(message);
  });

  it("lists several problems at once, and counts the rest", () => {
    const text = good.replace("version: 1", "version: 1\na: 1\nb: 1\nc: 1\nd: 1\ne: 1\nf: 1\ng: 1");
    expect(() => load(text)).toThrow(
      /a: is not a known field; .*e: is not a known field; and 2 more\.$/,
    );
  });

  it("does not quote values that could be private", () => {
    expect(problemOf("role: receiver", "role: Alice Example, born 1970")).toContain(
      "is other text",
    );
  });

  it("never throws anything but a typed error, whatever the text", () => {
    const lines = fc.array(fc.oneof(fc.constantFrom(...good.split("\n")), fc.string()));
    fc.assert(
      fc.property(lines, (parts) => {
        try {
          load(parts.join("\n"));
        } catch (error) {
          expect(error).toMatchObject({ domain: "cli" });
        }
      }),
      { numRuns: 200 },
    );
  });

  it("that is a JSON bomb or no mapping at all is refused", () => {
    for (const text of ["", "[]", "just text", "null", "1", "---\na: 1\n---\nb: 1\n"]) {
      expect(() => load(text)).toThrow(expect.objectContaining({ code: "invalid-config" }));
    }
  });
});

describe("psi run", () => {
  it("gives file, line, column and field in one line", async () => {
    const cli = createCli();
    cli.write("alice.yaml", good.replace("role: receiver", "role: king"));
    const { exit, err, out } = await cli.run("psi", "run", "--config", "alice.yaml");
    expect(exit).toBe(2);
    expect(out).toBe("");
    expect(err).toMatch(errorLine);
    expect(err).toContain("alice.yaml:3:1: role: must be one of receiver, sender");
  });

  it.each([
    ["missing.yaml", "cli/not-found"],
    [".", "cli/inaccessible"],
  ])("of %s says %s", async (file, id) => {
    const { exit, value } = await createCli().json("psi", "run", "--config", file);
    expect(exit).toBe(2);
    expect(value).toMatchObject({ error: { id } });
  });

  it("refuses files that are too large or no text", async () => {
    const cli = createCli();
    cli.write("big.yaml", "#".repeat(1024 * 1024 + 1));
    cli.write("binary.yaml", Uint8Array.of(0xff, 0xfe, 0x00));
    expect((await cli.json("psi", "run", "--config", "big.yaml")).value).toMatchObject({
      error: { id: "cli/too-large" },
    });
    expect((await cli.json("psi", "run", "--config", "binary.yaml")).value).toMatchObject({
      error: { id: "cli/invalid-config" },
    });
  });

  it("needs a state directory with an identity", async () => {
    const cli = createCli();
    cli.write("alice.yaml", good);
    expect((await cli.json("psi", "run", "--config", "alice.yaml")).value).toMatchObject({
      error: { id: "cli/not-found" },
    });
  });
});

describe("parseEndpoint", () => {
  it.each([
    ["a.example:1", { host: "a.example", port: 1 }],
    ["[::1]:65535", { host: "::1", port: 65_535 }],
    ["10.0.0.1:0", { host: "10.0.0.1", port: 0 }],
  ])("takes %s", (text, endpoint) => expect(parseEndpoint(text, true)).toEqual(endpoint));

  it.each([":1", "a:", "a:-1", "a:1x", "a b:1", "[::1:1", "a:65536", "http://a:1"])(
    "refuses %s",
    (text) => expect(typeof parseEndpoint(text, true)).toBe("string"),
  );
});

describe("schemas", () => {
  it.each([...schemaFiles().keys()])("%s is in step", async (name) => {
    const file = new URL(`../schema/${name}`, import.meta.url);
    // As data: the formatter breaks lines elsewhere.
    expect(JSON.parse(await readFile(file, "utf8"))).toEqual(
      JSON.parse(schemaFiles().get(name) ?? ""),
    );
  });

  it.each([
    ["../README.md", 1],
    ["../../../docs/two-machines.md", 2],
  ])("take the configurations that %s shows", async (file, count) => {
    const text = await readFile(new URL(file, import.meta.url), "utf8");
    const examples = [...text.matchAll(/^```yaml\n([\s\S]*?)^```/gm)].map(([, body = ""]) => body);
    expect(examples).toHaveLength(count);
    for (const body of examples) expect(() => load(body)).not.toThrow();
  });
});
