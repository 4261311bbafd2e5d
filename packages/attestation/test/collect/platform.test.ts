/** Collectors that read files and HTTP: each on a platform that behaves as the kernel's, and on broken ones. */
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { createServer, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fromUtf8, utf8 } from "@vivarium/core";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { configfsPath } from "../../src/collect/configfs.ts";
import {
  cocoAttester,
  configfsAttester,
  detectAttester,
  gramineAttester,
  type PlatformFiles,
  platformFiles,
} from "../../src/collect/index.ts";

const binding = Uint8Array.from({ length: 64 }, (_, i) => i + 1);

function errno(code: string): never {
  throw Object.assign(new Error(code), { code });
}

interface Entry {
  inblob: Uint8Array | undefined;
  privlevel: string | undefined;
  generation: number;
}

/** configfs-tsm as of Linux drivers/virt/coco/tsm.c: a write raises the generation, reads need input. */
class FakeTsm implements PlatformFiles {
  readonly entries = new Map<string, Entry>();
  provider = "tdx_guest\n";
  /** Called before each read of a report. */
  meanwhile: (entry: Entry) => void = () => {};
  report: (entry: Entry) => Uint8Array = ({ inblob }) => new Uint8Array([7, ...(inblob ?? [])]);
  auxblob = new Uint8Array(0);

  #entry(path: string): [Entry, string] {
    const at = path.lastIndexOf("/");
    return [this.entries.get(path.slice(0, at)) ?? errno("ENOENT"), path.slice(at + 1)];
  }
  exists = async (path: string): Promise<boolean> => this.entries.has(path);
  async makeDirectory(path: string): Promise<void> {
    if (!path.startsWith(`${configfsPath}/`)) errno("ENOENT");
    this.entries.set(path, { inblob: undefined, privlevel: undefined, generation: 0 });
  }
  async removeDirectory(path: string): Promise<void> {
    if (!this.entries.delete(path)) errno("ENOENT");
  }
  async write(path: string, data: Uint8Array): Promise<void> {
    const [entry, name] = this.#entry(path);
    entry.generation++;
    if (name === "inblob") entry.inblob = data.length > 64 ? errno("EINVAL") : new Uint8Array(data);
    else if (name === "privlevel") entry.privlevel = fromUtf8(data);
    else errno("ENOENT");
  }
  async read(path: string): Promise<Uint8Array> {
    const [entry, name] = this.#entry(path);
    if (name === "provider") return utf8(this.provider);
    if (name === "generation") return utf8(`${entry.generation}\n`);
    if (name !== "outblob" && name !== "auxblob") return errno("ENOENT");
    if (entry.inblob === undefined) return errno("EINVAL");
    this.meanwhile(entry);
    return name === "outblob" ? this.report(entry) : this.auxblob;
  }
}

describe("configfs-tsm", () => {
  test.each([
    ["tdx_guest", "tdx"],
    ["sev_guest", "snp"],
    ["arm_cca_guest", "cca"],
  ])("gives reports of %s", async (provider, type) => {
    const files = new FakeTsm();
    files.provider = `${provider}\n`;
    files.auxblob = Uint8Array.of(1, 2, 3);
    const attester = await configfsAttester({ files, privilegeLevel: 2 });
    let level: string | undefined;
    files.meanwhile = ({ privlevel }) => {
      level = privlevel;
    };
    const evidence = await attester.collect(binding);
    expect(evidence).toEqual({
      type,
      bytes: new Uint8Array([7, ...binding]),
      attachments: type === "snp" ? { certificates: files.auxblob } : {},
    });
    // Text: guest-components wrote a raw byte, which the kernel does not take for a number.
    expect(level).toBe("2");
    expect(files.entries.size).toBe(0);
  });

  test("an empty report is an error and not evidence", async () => {
    const files = new FakeTsm();
    files.report = () => new Uint8Array(0);
    const attester = await configfsAttester({ files });
    await expect(attester.collect(binding)).rejects.toThrow(/empty report/);
    expect(files.entries.size).toBe(0);
  });

  test("a report whose input somebody else has changed is made again, and not for ever", async () => {
    const files = new FakeTsm();
    const attester = await configfsAttester({ files });
    let times = 1;
    files.meanwhile = (entry) => {
      if (times-- > 0) {
        entry.inblob = new Uint8Array(64);
        entry.generation++;
      }
    };
    expect((await attester.collect(binding)).bytes).toEqual(new Uint8Array([7, ...binding]));
    times = 1_000;
    await expect(attester.collect(binding)).rejects.toThrow(/somebody else/);
  });

  test.each([
    ["unknown_guest", /provider/],
    ["\u0000\u0001", /provider/],
  ])("a provider %j is refused", async (provider, message) => {
    const files = new FakeTsm();
    files.provider = provider;
    await expect(configfsAttester({ files })).rejects.toThrow(message);
  });

  test("a provider that changes is noticed", async () => {
    const files = new FakeTsm();
    const attester = await configfsAttester({ files });
    files.provider = "sev_guest\n";
    await expect(attester.collect(binding)).rejects.toThrow(/has changed/);
  });

  test.each(["ENOENT", "EACCES", "ENXIO", "EBUSY"])("%s names the path", async (code) => {
    const files = new FakeTsm();
    files.makeDirectory = async () => errno(code);
    const made = configfsAttester({ files });
    await expect(made).rejects.toMatchObject({ code: "unavailable" });
    await expect(made).rejects.toThrow(configfsPath);
  });

  test("asks for all 64 bytes", async () => {
    const attester = await configfsAttester({ files: new FakeTsm() });
    await expect(attester.collect(new Uint8Array(32))).rejects.toMatchObject({ code: "malformed" });
  });
});

describe("Gramine", () => {
  const gramine = (kind = "dcap"): PlatformFiles & { turns: string[] } => {
    let data = new Uint8Array(64);
    const turns: string[] = [];
    return {
      turns,
      exists: async () => true,
      makeDirectory: async () => errno("EPERM"),
      removeDirectory: async () => errno("EPERM"),
      async read(path) {
        if (path === "/dev/attestation/attestation_type") return utf8(kind);
        turns.push("read");
        const quote = new Uint8Array(data);
        await new Promise((resolve) => setTimeout(resolve, 1));
        return quote;
      },
      async write(path, bytes) {
        expect(path).toBe("/dev/attestation/user_report_data");
        turns.push("write");
        data = new Uint8Array(bytes);
      },
    };
  };

  test("writes the data, then reads the quote, one after another", async () => {
    const files = gramine();
    const attester = await gramineAttester({ files });
    const inputs = [1, 2, 3].map((byte) => new Uint8Array(64).fill(byte));
    const made = await Promise.all(inputs.map((input) => attester.collect(input)));
    expect(made.map(({ bytes }) => bytes)).toEqual(inputs);
    expect(files.turns).toEqual(["write", "read", "write", "read", "write", "read"]);
  });

  test("without DCAP it says so", async () => {
    await expect(gramineAttester({ files: gramine("none") })).rejects.toThrow(/"none"/);
    const empty = platformFiles(mkdtempSync(join(tmpdir(), "vivarium-collect-")));
    await expect(gramineAttester({ files: empty })).rejects.toThrow(/absent/);
  });
});

describe("the agent of Confidential Containers", () => {
  let server: Server;
  let answer: (path: string, response: ServerResponse) => void;
  let url: string;
  beforeEach(async () => {
    server = createServer((request, response) => answer(request.url ?? "", response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const address = server.address();
    url = `http://127.0.0.1:${typeof address === "object" && address !== null ? address.port : 0}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  /** The head of a TDX quote: version 4, ECDSA P-256, TEE type 0x81. */
  const bytes = new Uint8Array(1024).fill(9, 48);
  bytes.set([4, 0, 2, 0, 0x81]);
  const quote = Buffer.from(bytes).toString("base64");
  const agent =
    (tee: string, evidence: string) =>
    (path: string, response: ServerResponse): void => {
      if (path === "/info")
        response.end(JSON.stringify({ version: "1", tee, additional_tees: [] }));
      else if (path.startsWith("/aa/evidence?")) response.end(evidence);
      else response.writeHead(404).end();
    };

  test("gives evidence in its JSON", async () => {
    let query = "";
    const plain = agent("tdx", JSON.stringify({ quote, cc_eventlog: null }));
    answer = (path, response) => {
      if (path.startsWith("/aa/")) query = path;
      plain(path, response);
    };
    const attester = await cocoAttester({ url });
    const evidence = await attester.collect(binding);
    expect(evidence.type).toBe("tdx");
    expect(evidence.bytes).toEqual(bytes);
    const given = new URL(`${url}${query}`).searchParams;
    expect(given.get("encoding")).toBe("base64");
    expect(Buffer.from(given.get("runtime_data") ?? "", "base64url")).toEqual(Buffer.from(binding));
  });

  test.each(["sample", "simulated", "toaster", ""])("with TEE %j it is none", async (tee) => {
    answer = agent(tee, "{}");
    await expect(cocoAttester({ url })).rejects.toMatchObject({ code: "unavailable" });
  });

  test("an answer of another TEE is refused", async () => {
    answer = agent("snp", JSON.stringify({ quote, cc_eventlog: null }));
    const attester = await cocoAttester({ url });
    await expect(attester.collect(binding)).rejects.toMatchObject({ domain: "attestation" });
  });

  test.each<[string, (path: string, response: ServerResponse) => void]>([
    ["not JSON", (_, response) => void response.end("<html>")],
    ["not there", (_, response) => void response.writeHead(404).end()],
    ["a redirect", (_, response) => void response.writeHead(302, { location: "/" }).end()],
    ["too much", (_, response) => void response.end("x".repeat(3_000_000))],
    ["nothing", () => {}],
    ["cut off", (_, response) => void response.writeHead(200, { "content-length": 9 }).write("{")],
  ])("%s costs an error", async (_, behave) => {
    answer = behave;
    const made = cocoAttester({ url, timeoutMs: 300 });
    await expect(made).rejects.toMatchObject({ domain: "attestation", code: "unavailable" });
  });
});

describe("detection", () => {
  const nowhere = { url: "http://127.0.0.1:1", timeoutMs: 500 };
  const directory = mkdtempSync(join(tmpdir(), "vivarium-collect-"));
  const options = {
    files: platformFiles(directory),
    helperDirectory: join(directory, "programs"),
    tpm: { address: join(directory, "dev/tpmrm0") },
    coco: nowhere,
  };

  test("finds nothing here, says why for each, and never falls to simulated", async () => {
    const found = detectAttester(options);
    await expect(found).rejects.toMatchObject({ code: "unavailable" });
    for (const name of ["gramine", "configfs", "csv", "azure", "tpm", "nitro", "coco"]) {
      await expect(found).rejects.toThrow(`${name}:`);
    }
  });

  test("what isolates comes before what only measures", async () => {
    const files = new FakeTsm();
    const found = await detectAttester({ ...options, files });
    expect(found.name).toBe("configfs");
    expect(found.attester.type).toBe("tdx");
  });

  test("only the one that was asked for", async () => {
    const asked = detectAttester({ ...options, files: new FakeTsm(), only: "tpm" });
    await expect(asked).rejects.toThrow(/tpmrm0/);
  });

  test("an Azure machine without the paravisor's report is not taken for one", async () => {
    const dmi = join(directory, "sys/class/dmi/id");
    mkdirSync(dmi, { recursive: true });
    writeFileSync(join(dmi, "chassis_asset_tag"), "7783-7084-3265-9085-8269-3286-77\n");
    await expect(detectAttester({ ...options, only: "azure" })).rejects.toThrow(/tpmrm0/);
  });
});
