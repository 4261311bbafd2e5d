import { createHash } from "node:crypto";
import { cp, mkdir, readdir, readFile, symlink, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildBundle } from "@vivarium/workers/bundle";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeManifest, encodeManifest } from "../src/manifest.ts";
import { buildFixture, fixture, freshDirectory, makeKeys, start } from "./support.ts";

const timeout = 60_000;
const modules = fileURLToPath(new URL("../../../node_modules", import.meta.url));

/** A project of its own, elsewhere, with the repository's dependencies. */
async function project(...path: readonly string[]): Promise<string> {
  const root = freshDirectory();
  await symlink(modules, join(root, "node_modules"));
  const directory = join(root, ...path);
  await mkdir(directory, { recursive: true });
  await cp(dirname(fixture("main.ts")), directory, { recursive: true });
  return directory;
}

async function build(directory: string) {
  return buildBundle({
    name: "fixture",
    entry: join(directory, "main.ts"),
    tasks: join(directory, "tasks.mjs"),
    outdir: freshDirectory(),
  });
}

describe("deterministic bundles", () => {
  test(
    "two clean builds in different directories give the same bytes",
    async () => {
      const first = await build(await project("a"));
      const second = await build(await project("somewhere", "much", "deeper"));
      expect(second.digest).toBe(first.digest);
      for (const name of await readdir(first.directory)) {
        const [a, b] = [first, second].map(({ directory }) => readFile(join(directory, name)));
        expect((await b)?.equals((await a) as Buffer), name).toBe(true);
      }
    },
    timeout,
  );

  test(
    "no path of the builder is inside; every file is in the manifest",
    async () => {
      const directory = await project("a");
      const bundle = await build(directory);
      expect((await readdir(bundle.directory)).sort()).toEqual([
        "main.mjs",
        "manifest.json",
        "tasks.mjs",
      ]);
      for (const { path, sha256, size } of bundle.manifest.files) {
        const bytes = await readFile(join(bundle.directory, path));
        expect(bytes.includes(dirname(directory))).toBe(false);
        expect(bytes.includes(modules)).toBe(false);
        expect(bytes.length).toBe(size);
        expect(createHash("sha256").update(bytes).digest("hex")).toBe(sha256);
      }
    },
    timeout,
  );

  test(
    "one changed byte of the source gives another digest",
    async () => {
      const directory = await project("a");
      const first = await build(directory);
      const path = join(directory, "main.ts");
      await writeFile(path, (await readFile(path, "utf8")).replace('"drained"', '"Drained"'));
      expect((await build(directory)).digest).not.toBe(first.digest);
    },
    timeout,
  );

  test(
    "an import that would load from outside stops the build",
    async () => {
      const directory = await project("a");
      await writeFile(join(directory, "main.ts"), 'import "not-installed-here";\n');
      await expect(build(directory)).rejects.toMatchObject({ code: "build-failed" });
    },
    timeout,
  );

  test(
    "a directory with other content is not emptied",
    async () => {
      const outdir = freshDirectory();
      await writeFile(join(outdir, "thesis.txt"), "");
      await expect(buildFixture(outdir)).rejects.toMatchObject({ code: "invalid-argument" });
      expect(await readdir(outdir)).toEqual(["thesis.txt"]);
    },
    timeout,
  );
});

describe("native libraries", () => {
  test(
    "DuckDB, jose, cborg and msgpackr run from the copy; a changed library is refused",
    async () => {
      const bindings = createRequire(import.meta.url).resolve(
        "@duckdb/node-bindings-linux-x64/duckdb.node",
      );
      const bundle = await buildBundle({
        name: "native",
        entry: fixture("native.ts"),
        outdir: freshDirectory(),
        native: [
          { from: bindings, as: "duckdb.node", replaces: "@duckdb/node-bindings" },
          { from: join(dirname(bindings), "libduckdb.so"), as: "libduckdb.so" },
        ],
      });
      const keys = await makeKeys();
      const { worker } = await start(bundle.directory, keys, null);
      const result = (await worker.result) as { maps: string };
      expect(result).toMatchObject({ answer: 42, claim: 1, cbor: 2 });
      const loaded = [...new Set(result.maps.match(/\/\S+duckdb\S*$/gm))];
      expect(loaded).toHaveLength(2);
      for (const file of loaded) expect(file).toMatch(/\/vivarium-worker-\d+-\w+\//);

      const path = join(bundle.directory, "duckdb.node");
      const bytes = await readFile(path);
      bytes[1_000] = (bytes[1_000] as number) ^ 1;
      await writeFile(path, bytes);
      const refused = start(bundle.directory, keys, null);
      await expect(refused).rejects.toMatchObject({ code: "digest-mismatch" });
      await expect(refused).rejects.toThrow(/duckdb\.node/);
    },
    timeout,
  );
});

describe("manifest", () => {
  const good = {
    version: 1,
    name: "x",
    main: "main.mjs",
    tasks: null,
    native: [],
    files: [{ path: "main.mjs", sha256: "ab".repeat(32), size: 1 }],
  } as const;
  const decode = (value: unknown) =>
    decodeManifest(new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`));

  test("reads what it writes", () => {
    expect(decodeManifest(encodeManifest(good))).toEqual(good);
  });

  test.each([
    ["a path out of the directory", { files: [{ ...good.files[0], path: "../main.mjs" }] }],
    ["an absolute path", { files: [{ ...good.files[0], path: "/main.mjs" }] }],
    ["a file twice", { files: [good.files[0], good.files[0]] }],
    ["a short digest", { files: [{ ...good.files[0], sha256: "ab" }] }],
    ["a size over the limit", { files: [{ ...good.files[0], size: 2 ** 40 }] }],
    ["a main that is not listed", { main: "other.mjs" }],
    ["a native library that is not listed", { native: ["x.node"] }],
    ["an unknown field", { extra: 1 }],
    ["another version", { version: 2 }],
  ])("refuses %s", (_, change) => {
    expect(() => decode({ ...good, ...change })).toThrow(/manifest is refused/);
  });

  test("never throws anything but its own error", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.json().map((text) => new TextEncoder().encode(text)),
          fc.uint8Array(),
        ),
        (bytes) => {
          expect(() => decodeManifest(bytes)).toThrow(
            expect.objectContaining({ domain: "workers", code: "invalid-manifest" }),
          );
        },
      ),
    );
  });
});
