/**
 * The verifiers' contract in a real browser: evidence must verify where the user is, with nothing of
 * Node. Needs Debian's chromium; says so and skips where there is none.
 */
import { existsSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { type Browser, chromium } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const executablePath =
  process.env["CHROMIUM_PATH"] ??
  ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((path) => existsSync(path));
if (executablePath === undefined) {
  console.warn(
    "browser.test.ts is skipped: no chromium at /usr/bin/chromium (apt-get install chromium).",
  );
}

const tests = fileURLToPath(new URL("../packages/attestation/test", import.meta.url));

/** What runs in the page; its outcome comes back as data. */
const page = `
  import { webCrypto } from "@vivarium/core/web";
  import { simulatedSubject } from "./simulated-subject.ts";
  import { hardwareSubjects } from "./synthetic/subjects.ts";
  import { verifierContract } from "./verifier-contract.ts";
  const subjects = [
    ...["ES256", "EdDSA"].map((algorithm) => ({
      name: "simulated evidence under an " + algorithm + " root",
      make: (crypto) => simulatedSubject(crypto, algorithm),
    })),
    ...hardwareSubjects,
  ];
  globalThis.subjectNames = subjects.map(({ name }) => name);
  globalThis.runContract = async (name) => {
    const outcomes = [];
    const subject = await subjects.find((each) => each.name === name).make(webCrypto());
    for (const check of verifierContract) {
      try {
        await check.run(subject);
        outcomes.push({ name: check.name, error: "" });
      } catch (error) {
        outcomes.push({ name: check.name, error: String(error) });
      }
    }
    return outcomes;
  };
`;

interface Outcome {
  readonly name: string;
  readonly error: string;
}

describe.skipIf(executablePath === undefined)("verifier contract in Chromium", () => {
  let browser: Browser;
  let server: Server;

  beforeAll(async () => {
    const bundle = await build({
      stdin: { contents: page, resolveDir: tests, loader: "ts", sourcefile: "page.ts" },
      bundle: true,
      format: "esm",
      // A `node:` import anywhere below would fail the build here.
      platform: "browser",
      target: "es2023",
      write: false,
    });
    const script = bundle.outputFiles[0]?.text ?? "";
    // Served, not a file: crypto.subtle exists in secure contexts only, and localhost is one.
    server = createServer((request, response) => {
      const isScript = request.url === "/page.js";
      response.setHeader("content-type", isScript ? "text/javascript" : "text/html");
      // The page may not generate code from strings, as no worker may.
      response.setHeader("content-security-policy", "default-src 'self'");
      response.end(
        isScript
          ? script
          : '<!doctype html><title>c</title><script type="module" src="/page.js"></script>',
      );
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    browser = await chromium.launch({
      executablePath: executablePath as string,
      args: [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
      ],
    });
  });

  afterAll(async () => {
    await browser?.close();
    server?.close();
  });

  test("every TEE's verifier keeps it, on evidence of a synthetic PKI", async () => {
    const view = await browser.newPage();
    const { port } = server.address() as AddressInfo;
    await view.goto(`http://localhost:${port}/`);
    await view.waitForFunction("typeof globalThis.runContract === 'function'");
    const names = (await view.evaluate("globalThis.subjectNames")) as string[];
    // All that the same contract runs on in Node; a name each, so that none drops out unseen.
    for (const tee of ["SGX", "TDX", "SNP", "CSV", "CCA", "Nitro", "TPM", "simulated"]) {
      expect(names.filter((name) => name.includes(tee))).not.toEqual([]);
    }
    for (const name of names) {
      const outcomes = (await view.evaluate(
        `globalThis.runContract(${JSON.stringify(name)})`,
      )) as Outcome[];
      expect(outcomes.length).toBeGreaterThan(10);
      expect([name, outcomes.filter(({ error }) => error !== "")]).toEqual([name, []]);
    }
    await view.close();
  });
});
