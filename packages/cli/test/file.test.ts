/** Sealed files by the command line: each way to tamper with one has its own answer. */
import { chmodSync, existsSync, readdirSync, readFileSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { concat, equalBytes, utf8 } from "@vivarium/core";
import { describe, expect, it } from "vitest";
import { type Cli, createCli, errorLine } from "./support.ts";

const content = new Uint8Array(2 * 1024 * 1024 + 77).map((_, i) => (i * 131) ^ (i >> 9));
const marker = utf8("canary-plaintext-7f3a");
content.set(marker, 4000);
const sealedChunk = 1024 * 1024 + 16;

async function sealed(): Promise<{ cli: Cli; bytes: Uint8Array; start: number }> {
  const cli = createCli();
  cli.write("model.bin", content);
  expect((await cli.run("file", "keygen", "k")).exit).toBe(0);
  expect((await cli.run("file", "seal", "model.bin", "--key", "k")).exit).toBe(0);
  const bytes = new Uint8Array(readFileSync(join(cli.directory, "model.bin.sealed")));
  const start = 12 + new DataView(bytes.buffer).getUint32(8) + 32;
  return { cli, bytes, start };
}

const openIt = (cli: Cli, file: string, ...more: string[]) =>
  cli.json("file", "open", file, "--key", "k", "--output", "out", "--name", "model.bin", ...more);

describe("file", () => {
  it("seals and opens; keys and plaintext are private, and neither is in the sealed file", async () => {
    const { cli, bytes } = await sealed();
    const { exit, out } = await cli.run(
      ...["file", "open", "model.bin.sealed", "--key", "k", "--output", "back"],
    );
    expect(exit).toBe(0);
    expect(out).toContain("version 1, whole and unaltered");
    expect(readFileSync(join(cli.directory, "back")).equals(content)).toBe(true);
    for (const file of ["k", "back", "model.bin.sealed"]) {
      expect(statSync(join(cli.directory, file)).mode & 0o777).toBe(0o600);
    }
    const key = readFileSync(join(cli.directory, "k"), "utf8").split("\n")[1] as string;
    expect(Buffer.from(bytes).includes(Buffer.from(key, "base64url"))).toBe(false);
    expect(Buffer.from(bytes).includes(Buffer.from(marker))).toBe(false);
    expect(readdirSync(cli.directory).filter((name) => name.endsWith(".new"))).toEqual([]);
  });

  it("names what was done to a file, and leaves no plaintext behind", async () => {
    const { cli, bytes, start } = await sealed();
    const chunk = (i: number) =>
      bytes.subarray(start + i * sealedChunk, start + (i + 1) * sealedChunk);
    const last = bytes.subarray(start + 2 * sealedChunk);
    const head = bytes.subarray(0, start);
    const flipped = bytes.slice();
    flipped[start + sealedChunk + 5] = (flipped[start + sealedChunk + 5] as number) ^ 1;
    const altered = bytes.slice();
    altered[start - 1] = (altered[start - 1] as number) ^ 1;
    cli.write("model2.bin", content);
    await cli.run(
      "file",
      "seal",
      "model.bin",
      "--key",
      "k",
      "--output",
      "twin",
      "--file-version",
      "1",
    );
    const twin = new Uint8Array(readFileSync(join(cli.directory, "twin")));
    const cases: readonly (readonly [string, Uint8Array])[] = [
      ["seal/chunk-altered", flipped],
      ["seal/header-altered", altered],
      ["seal/truncated", bytes.subarray(0, bytes.length - 50)],
      ["seal/extended", concat(bytes, Uint8Array.of(0))],
      ["seal/reordered", concat(head, chunk(1), chunk(0), last)],
      ["seal/header-swapped", concat(twin.subarray(0, start), bytes.subarray(start))],
      [
        "seal/chunk-altered",
        concat(head, twin.subarray(start, start + sealedChunk), chunk(1), last),
      ],
      ["seal/incomplete", new Uint8Array(4096)],
      ["seal/malformed", utf8("this is not a sealed file at all")],
    ];
    for (const [id, bad] of cases) {
      cli.write("bad", bad);
      const { exit, value } = await openIt(cli, "bad");
      expect(value).toMatchObject({ error: { id } });
      expect(exit).not.toBe(0);
      expect(existsSync(join(cli.directory, "out"))).toBe(false);
      expect(existsSync(join(cli.directory, "out.new"))).toBe(false);
      const seen = await cli.json("file", "inspect", "bad", "--key", "k");
      expect(seen.value).toMatchObject({ error: { id } });
    }
  });

  it("refuses another name or type, and a version older than one it has seen", async () => {
    const { cli, bytes } = await sealed();
    cli.write("other.bin.sealed", bytes);
    const renamed = await cli.json(
      ...["file", "open", "other.bin.sealed", "--key", "k", "--output", "out"],
    );
    expect(renamed).toMatchObject({ exit: 3, value: { error: { id: "seal/renamed" } } });
    expect(await openIt(cli, "model.bin.sealed", "--type", "text/csv")).toMatchObject({
      exit: 3,
      value: { error: { id: "seal/renamed" } },
    });
    const again = await cli.json("file", "seal", "model.bin", "--key", "k", "--replace");
    expect(again).toMatchObject({ exit: 0, value: { version: 2 } });
    cli.write("old", bytes);
    expect(await openIt(cli, "old")).toMatchObject({
      exit: 3,
      value: { error: { id: "seal/rolled-back" } },
    });
    expect(await openIt(cli, "old", "--minimum-version", "1")).toMatchObject({ exit: 0 });
  });

  it("rewraps: the new key opens it, the old one does not, the content is the same", async () => {
    const { cli, bytes, start } = await sealed();
    await cli.run("file", "keygen", "k2");
    expect(
      (await cli.run("file", "rewrap", "model.bin.sealed", "--key", "k", "--to", "k2")).exit,
    ).toBe(0);
    const after = new Uint8Array(readFileSync(join(cli.directory, "model.bin.sealed")));
    expect(equalBytes(after.subarray(start, -32), bytes.subarray(start, -32))).toBe(true);
    expect(await openIt(cli, "model.bin.sealed")).toMatchObject({
      value: { error: { id: "seal/wrong-key" } },
    });
    const opened = await cli.json(
      ...["file", "open", "model.bin.sealed", "--key", "k2", "--output", "out"],
    );
    expect(opened.exit).toBe(0);
    expect(readFileSync(join(cli.directory, "out")).equals(content)).toBe(true);
    // The header of one wrapping and the end of the other.
    cli.write("mixed", concat(after.subarray(0, start), bytes.subarray(start)));
    expect(await cli.json("file", "inspect", "mixed", "--key", "k2")).toMatchObject({
      value: { error: { id: "seal/header-swapped" } },
    });
    expect(
      (await cli.run("file", "rewrap", "model.bin.sealed", "--key", "k", "--to", "k2")).exit,
    ).toBe(1);
    expect(readFileSync(join(cli.directory, "model.bin.sealed")).equals(after)).toBe(true);
  });

  it("inspects without a key, and says that this proves nothing", async () => {
    const { cli } = await sealed();
    const { out } = await cli.run("file", "inspect", "model.bin.sealed");
    expect(out).toContain("NOT VERIFIED");
    const { value } = await cli.json("file", "inspect", "model.bin.sealed", "--key", "k");
    expect(value).toMatchObject({ verified: true, name: "model.bin", version: 1, chunks: 3 });
  });

  it("keeps an existing output, and refuses keys that others can read, links and other files", async () => {
    const { cli } = await sealed();
    expect((await cli.run("file", "seal", "model.bin", "--key", "k")).err).toMatch(/cli\/exists/);
    cli.write("out", "mine");
    expect(await openIt(cli, "model.bin.sealed")).toMatchObject({
      exit: 2,
      value: { error: { id: "cli/exists" } },
    });
    expect((await cli.run("file", "keygen", "k")).err).toMatch(/cli\/exists/);
    const inspect = (key: string) => cli.json("file", "inspect", "model.bin.sealed", "--key", key);
    symlinkSync(join(cli.directory, "k"), join(cli.directory, "link"));
    expect((await inspect("link")).exit).toBe(2);
    expect((await inspect(".")).exit).toBe(2);
    expect((await inspect("absent")).exit).toBe(2);
    cli.write("text", "hello");
    chmodSync(join(cli.directory, "text"), 0o600);
    expect(await inspect("text")).toMatchObject({ value: { error: { id: "cli/invalid-file" } } });
    chmodSync(join(cli.directory, "k"), 0o640);
    expect(await inspect("k")).toMatchObject({
      value: { error: { id: "cli/unsafe-permissions" } },
    });
    const { err } = await cli.run(
      "file",
      "open",
      "model.bin.sealed",
      "--key",
      "k",
      "--output",
      "o",
    );
    expect(err).toMatch(errorLine);
  });

  it("seals and opens an empty file; an empty file that was cut is refused", async () => {
    const cli = createCli();
    cli.write("empty", "");
    await cli.run("file", "keygen", "k");
    await cli.run("file", "seal", "empty", "--key", "k");
    const open = () =>
      cli.json("file", "open", "empty.sealed", "--key", "k", "--output", "out", "--name", "empty");
    expect(await open()).toMatchObject({ exit: 0, value: { bytes: 0 } });
    const bytes = new Uint8Array(readFileSync(join(cli.directory, "empty.sealed")));
    bytes[bytes.length - 33] = (bytes[bytes.length - 33] as number) ^ 1;
    cli.write("empty.sealed", bytes);
    expect(await cli.json("file", "inspect", "empty.sealed", "--key", "k")).toMatchObject({
      value: { error: { id: "seal/chunk-altered" } },
    });
  });
});
