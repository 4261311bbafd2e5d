import { readFile } from "node:fs/promises";
import { attestationErrorCodes } from "@vivarium/attestation";
import { brokerErrorCodes } from "@vivarium/broker";
import { channelErrorCodes } from "@vivarium/channel";
import { CoreError, coreErrorCodes } from "@vivarium/core";
import { curve25519ErrorCodes } from "@vivarium/curve25519";
import { federatedErrorCodes } from "@vivarium/federated";
import { psiErrorCodes } from "@vivarium/psi";
import { sealErrorCodes } from "@vivarium/seal";
import { servingErrorCodes } from "@vivarium/serving";
import { tablesErrorCodes } from "@vivarium/tables";
import { tensorsErrorCodes } from "@vivarium/tensors";
import { workersErrorCodes } from "@vivarium/workers";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { catalogue, entryOf } from "../src/errors/catalogue.ts";
import { errorsDocument } from "../src/errors/document.ts";
import { CliError, cliErrorCodes } from "../src/errors/error.ts";
import { reportError } from "../src/errors/report.ts";
import { languageOf, printable } from "../src/io.ts";
import { createCli, fakeIo } from "./support.ts";

const packages: Readonly<Record<string, readonly string[]>> = {
  core: coreErrorCodes,
  attestation: attestationErrorCodes,
  channel: channelErrorCodes,
  seal: sealErrorCodes,
  workers: workersErrorCodes,
  curve25519: curve25519ErrorCodes,
  tables: tablesErrorCodes,
  tensors: tensorsErrorCodes,
  psi: psiErrorCodes,
  federated: federatedErrorCodes,
  broker: brokerErrorCodes,
  serving: servingErrorCodes,
  cli: cliErrorCodes,
};

function report(
  error: unknown,
  options: { env?: Record<string, string>; json?: boolean; verbose?: boolean } = {},
) {
  const { io, printed } = fakeIo("/", { env: options.env ?? {} });
  const exit = reportError(error, io, {
    json: options.json ?? false,
    verbose: options.verbose ?? false,
  });
  return { exit, ...printed() };
}

describe("the catalogue", () => {
  it("has exactly the codes of every package", () => {
    const entries = Object.entries(catalogue).map(([domain, codes]) => [
      domain,
      Object.keys(codes).sort(),
    ]);
    const codes = Object.entries(packages).map(([domain, list]) => [domain, [...list].sort()]);
    expect(Object.fromEntries(entries)).toEqual(Object.fromEntries(codes));
  });

  it("words every entry in both languages, as sentences", () => {
    for (const codes of Object.values(catalogue)) {
      for (const { en, zh, exit } of Object.values(codes)) {
        expect(en.meaning).toMatch(/^[A-Z][^\n]*\.$/);
        expect(en.action).toMatch(/^[A-Z][^\n]*\.$/);
        expect(zh.meaning).toMatch(/^[^\n]*[\u4e00-\u9fff][^\n]*。$/);
        expect(zh.action).toMatch(/^[^\n]*[\u4e00-\u9fff][^\n]*。$/);
        expect([1, 2, 3]).toContain(exit);
      }
    }
  });

  it("takes unknown domains and codes, and names of Object, for internal", () => {
    for (const [domain, code] of [
      ["x", "y"],
      ["core", "y"],
      ["__proto__", "x"],
      ["core", "toString"],
    ]) {
      expect(entryOf(domain as string, code as string)).toBe(catalogue["cli"]?.["internal"]);
    }
  });

  it("is in step with docs/errors.md", async () => {
    const file = new URL("../../../docs/errors.md", import.meta.url);
    expect(await readFile(file, "utf8")).toBe(errorsDocument());
  });

  it("is printed by the hidden command", async () => {
    const cli = createCli();
    expect((await cli.run("errors")).out).toBe(errorsDocument());
    expect((await cli.json("errors")).value).toEqual(catalogue);
  });
});

describe("a report", () => {
  const error = new CliError("not-found", "The policy p.yaml does not exist.");

  it("is one line with what to do", () => {
    expect(report(error)).toEqual({
      exit: 2,
      out: "",
      err: "error[cli/not-found]: The policy p.yaml does not exist. Check the path.\n",
    });
  });

  it("is Chinese where the locale says so, with the details", () => {
    const { err } = report(error, { env: { LANG: "zh_CN.UTF-8" } });
    expect(err).toBe(
      "错误[cli/not-found]：文件或目录不存在。请检查路径。（The policy p.yaml does not exist.）\n",
    );
  });

  it("is an object with --json, in the language of the locale", () => {
    const { err } = report(error, { json: true, env: { LC_ALL: "zh" } });
    expect(JSON.parse(err)).toEqual({
      error: {
        id: "cli/not-found",
        domain: "cli",
        code: "not-found",
        message: "The policy p.yaml does not exist.",
        meaning: "文件或目录不存在。",
        action: "请检查路径。",
        exit: 2,
      },
    });
  });

  it("has exit code 3 for what a policy refuses, 1 for failures", () => {
    const codes = (domain: string, code: string) => entryOf(domain, code).exit;
    expect(codes("attestation", "refused-by-policy")).toBe(3);
    expect(codes("channel", "refused")).toBe(3);
    expect(codes("channel", "peer-refused")).toBe(3);
    expect(codes("channel", "timeout")).toBe(1);
    expect(codes("psi", "config-mismatch")).toBe(2);
  });

  it("says nothing of what a foreign error quotes", () => {
    const { err, exit } = report(new RangeError("row: alice@example.com"));
    expect(exit).toBe(1);
    expect(err).toContain("error[cli/internal]: An unexpected RangeError was thrown.");
    expect(err).not.toContain("alice");
    expect(report("text").err).toContain("An unexpected string was thrown.");
  });

  it("shows stacks and causes only if asked to", () => {
    const wrapped = new CoreError("malformed", "Outer.", { cause: new Error("inner") });
    expect(report(wrapped).err).not.toContain("inner");
    const { err } = report(wrapped, { verbose: true });
    expect(err).toContain("    at ");
    expect(err).toContain("caused by: Error: inner");
  });

  it("ends for a cause that is its own effect", () => {
    const loop = new Error("loop");
    loop.cause = loop;
    expect(report(loop, { verbose: true }).exit).toBe(1);
  });

  it("stays on one line and free of control characters, whatever the message", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        const { err } = report(new CliError("internal", `${text}\u001b[2J\u202e\n`));
        expect(err.slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
        expect(err.endsWith("\n")).toBe(true);
      }),
    );
  });
});

describe("languageOf", () => {
  it.each([
    [{}, "en"],
    [{ LANG: "C.UTF-8" }, "en"],
    [{ LANG: "zh_CN.UTF-8" }, "zh"],
    [{ LANG: "zh_CN", LC_MESSAGES: "en_US" }, "en"],
    [{ LANG: "en", LC_MESSAGES: "zh_TW" }, "zh"],
    [{ LANG: "zh", LC_MESSAGES: "zh", LC_ALL: "de" }, "en"],
    [{ LANG: "zh", LC_ALL: "" }, "zh"],
  ])("of %j is %s", (env, language) => {
    expect(languageOf(env)).toBe(language);
  });
});

it("printable keeps what people write", () => {
  expect(printable("Grüße 你好 — 1 × 2")).toBe("Grüße 你好 — 1 × 2");
});
