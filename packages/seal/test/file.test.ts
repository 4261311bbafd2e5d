import { mkdtemp, open, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { concat, equalBytes, u64, utf8 } from "@vivarium/core";
import fc from "fast-check";
import { afterEach, describe, expect, test } from "vitest";
import { decodeHeader, encodeHeader, type FileHeader } from "../src/file-format.ts";
import { describeSealedFile } from "../src/file-header.ts";
import { openSealedFile, openSealedFileAt } from "../src/file-read.ts";
import { rewrapSealedFile } from "../src/file-rewrap.ts";
import { createSealedFile, sealFile, sealFileAt } from "../src/file-write.ts";
import { Secret } from "../src/secret.ts";
import { memoryStore } from "../src/store.ts";
import { secretKeyWrapper } from "../src/wrap.ts";

const wrapper = secretKeyWrapper("test", new Secret(new Uint8Array(32).fill(7)));
const as = { name: "model", version: 3, type: "application/octet-stream", wrapper };
const expected = { ...as, minimumVersion: 3 };
const chunkBytes = 4096;
const code = (name: string) => expect.objectContaining({ code: name });
const pattern = (length: number) => new Uint8Array(length).map((_, i) => (i * 31) ^ (i >> 8));

async function sealed(content: Uint8Array, options = {}): Promise<Uint8Array<ArrayBuffer>> {
  const store = memoryStore();
  await sealFile(store, content, { ...as, chunkBytes, ...options });
  return store.bytes();
}

async function readAll(bytes: Uint8Array, options = {}): Promise<Uint8Array> {
  const file = await openSealedFile(memoryStore(bytes), { ...expected, ...options });
  const parts: Uint8Array[] = [];
  for await (const part of file.chunks()) parts.push(part);
  await file.close();
  return concat(...parts);
}

const headerEnd = (bytes: Uint8Array) =>
  12 + new DataView(bytes.buffer, bytes.byteOffset).getUint32(8) + 32;

describe("round trip", () => {
  test("any length, around the edges of chunks", async () => {
    for (const length of [0, 1, 4095, 4096, 4097, 8192, 12_289]) {
      const content = pattern(length);
      const bytes = await sealed(content);
      expect(await readAll(bytes)).toEqual(content);
      const chunks = Math.max(1, Math.ceil(length / chunkBytes));
      expect(bytes.length).toBe(headerEnd(bytes) + length + 16 * chunks + 32);
    }
  });

  test("property: written in any pieces, read at any place", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 5000 }), { maxLength: 6 }),
        fc.nat(),
        fc.nat(),
        async (sizes, a, b) => {
          const content = pattern(sizes.reduce((x, y) => x + y, 0));
          const store = memoryStore();
          let at = 0;
          const pieces = sizes.map((size) => {
            at += size;
            return content.subarray(at - size, at);
          });
          await sealFile(store, pieces, { ...as, chunkBytes });
          const file = await openSealedFile(store, expected);
          expect(file.length).toBe(content.length);
          const from = a % (content.length + 1);
          const length = b % (content.length - from + 1);
          expect(await file.read(from, length)).toEqual(content.slice(from, from + length));
        },
      ),
      { numRuns: 60 },
    );
  });

  test("the same content twice shares nothing: fresh key, id and nonce", async () => {
    const [a, b] = [await sealed(pattern(4096)), await sealed(pattern(4096))];
    expect(a.length).toBe(b.length);
    const body = (bytes: Uint8Array) => bytes.subarray(headerEnd(bytes), headerEnd(bytes) + 64);
    expect(body(a)).not.toEqual(body(b));
  });

  test("reads outside the file are refused, never shortened", async () => {
    const file = await openSealedFile(memoryStore(await sealed(pattern(100))), expected);
    for (const [offset, length] of [
      [0, 101],
      [-1, 1],
      [100, 1],
      [0.5, 1],
      [0, Number.NaN],
    ] as const) {
      await expect(file.read(offset, length)).rejects.toThrow(code("invalid-argument"));
    }
    expect(await file.read(100, 0)).toHaveLength(0);
    await file.close();
    await expect(file.read(0, 1)).rejects.toThrow(code("closed"));
  });
});

describe("each way in which a file can be wrong has its own answer", () => {
  const content = pattern(3 * chunkBytes);
  const size = chunkBytes + 16;

  test("every byte flipped: refused, by region with its code", async () => {
    const bytes = await sealed(pattern(200));
    const start = headerEnd(bytes);
    for (let i = 0; i < bytes.length; i++) {
      const bad = new Uint8Array(bytes);
      bad[i] = (bad[i] as number) ^ 0x10;
      const thrown = await readAll(bad).then(
        () => undefined,
        (error: { code: string }) => error.code,
      );
      const allowed =
        i < start - 32
          ? ["malformed", "limit-exceeded", "wrong-key", "header-altered", "truncated"]
          : i < start
            ? ["header-altered"]
            : i < bytes.length - 32
              ? ["chunk-altered"]
              : ["header-swapped"];
      expect(allowed, `byte ${i}`).toContain(thrown);
    }
  });

  test("truncated anywhere", async () => {
    const bytes = await sealed(content);
    for (const cut of [1, 32, 33, 49, size, 2 * size, bytes.length - headerEnd(bytes)]) {
      await expect(readAll(bytes.subarray(0, -cut))).rejects.toThrow(code("truncated"));
    }
    await expect(readAll(bytes.subarray(0, 20))).rejects.toThrow(code("truncated"));
    await expect(readAll(bytes.subarray(0, 5))).rejects.toThrow(code("truncated"));
  });

  test("a whole chunk cut out before the footer", async () => {
    const bytes = await sealed(content);
    const end = bytes.length - 32;
    const bad = concat(bytes.subarray(0, end - size), bytes.subarray(end));
    await expect(readAll(bad)).rejects.toThrow(code("truncated"));
  });

  test("extended", async () => {
    const bytes = await sealed(content);
    await expect(readAll(concat(bytes, new Uint8Array(1)))).rejects.toThrow(code("extended"));
    await expect(readAll(concat(bytes, bytes.subarray(-size)))).rejects.toThrow(code("extended"));
  });

  test("chunks reordered, and one repeated", async () => {
    const bytes = await sealed(content);
    const start = headerEnd(bytes);
    const chunk = (i: number) => bytes.subarray(start + i * size, start + (i + 1) * size);
    const body = (...order: number[]) =>
      concat(bytes.subarray(0, start), ...order.map(chunk), bytes.subarray(start + 3 * size));
    expect(await readAll(body(0, 1, 2))).toEqual(content);
    await expect(readAll(body(1, 0, 2))).rejects.toThrow(/Chunk 1 stands where chunk 0 belongs/);
    await expect(readAll(body(0, 0, 2))).rejects.toThrow(code("reordered"));
    await expect(readAll(body(0, 2, 1))).rejects.toThrow(code("reordered"));
  });

  test("a chunk of another file", async () => {
    const [a, b] = [await sealed(content), await sealed(content)];
    a.set(b.subarray(headerEnd(b), headerEnd(b) + size), headerEnd(a));
    await expect(readAll(a)).rejects.toThrow(code("chunk-altered"));
  });

  test("the header of another file, of the same key and size", async () => {
    const [a, b] = [await sealed(content), await sealed(content)];
    a.set(b.subarray(0, headerEnd(b)));
    await expect(readAll(a)).rejects.toThrow(code("header-swapped"));
  });

  test("renamed, or taken for another type", async () => {
    const bytes = await sealed(content);
    await expect(readAll(bytes, { name: "other" })).rejects.toThrow(code("renamed"));
    await expect(readAll(bytes, { type: "text/csv" })).rejects.toThrow(code("renamed"));
  });

  test("rolled back", async () => {
    const bytes = await sealed(content);
    await expect(readAll(bytes, { minimumVersion: 4 })).rejects.toThrow(code("rolled-back"));
    await expect(readAll(bytes, { minimumVersion: Number.NaN })).rejects.toThrow(
      code("rolled-back"),
    );
    expect(await readAll(bytes, { minimumVersion: 0 })).toEqual(content);
  });

  test("name, version, type and length rewritten in the header", async () => {
    const bytes = await sealed(content);
    const end = headerEnd(bytes) - 32;
    const header = decodeHeader(bytes.subarray(12, end));
    const changes: Partial<FileHeader>[] = [
      { name: "other" },
      { version: 4 },
      { type: "application/octet-strean" },
      { length: content.length - 1 },
      { chunkBytes: 2 * chunkBytes },
    ];
    for (const change of changes) {
      const forged = encodeHeader({ ...header, ...change });
      if (forged.length !== end - 12) continue;
      const bad = new Uint8Array(bytes);
      bad.set(forged, 12);
      await expect(readAll(bad, { name: change.name ?? as.name })).rejects.toThrow(
        code("header-altered"),
      );
    }
  });

  test("another key, another wrapper", async () => {
    const bytes = await sealed(content);
    const other = new Secret(new Uint8Array(32).fill(8));
    await expect(readAll(bytes, { wrapper: secretKeyWrapper("test", other) })).rejects.toThrow(
      code("wrong-key"),
    );
    await expect(readAll(bytes, { wrapper: { ...wrapper, name: "kms" } })).rejects.toThrow(
      /"test"/,
    );
  });

  test("the wrapped key of another file", async () => {
    const read = (bytes: Uint8Array) => decodeHeader(bytes.subarray(12, headerEnd(bytes) - 32));
    const [a, b] = [await sealed(content), await sealed(content)];
    a.set(encodeHeader({ ...read(a), wrappedKey: read(b).wrappedKey }), 12);
    await expect(readAll(a)).rejects.toThrow(code("wrong-key"));
  });

  test("never finished", async () => {
    const store = memoryStore();
    const writer = await createSealedFile(store, { ...as, chunkBytes });
    await writer.write(content);
    writer.close();
    await expect(readAll(store.bytes())).rejects.toThrow(code("incomplete"));
    await expect(writer.write(content)).rejects.toThrow(code("closed"));
    await expect(writer.finish()).rejects.toThrow(code("closed"));
  });

  test("not a sealed file, and a header over its limit", async () => {
    await expect(readAll(utf8("PK\u0003\u0004 something else"))).rejects.toThrow(code("malformed"));
    const huge = concat(utf8("VIVSEAL1"), new Uint8Array([255, 255, 255, 255]), u64(0));
    await expect(readAll(huge)).rejects.toThrow(code("limit-exceeded"));
  });
});

describe("into memory of the caller's", () => {
  test("any range, across chunks big enough for their memory to be given back at once", async () => {
    const content = pattern(300_000);
    const file = await openSealedFile(
      memoryStore(await sealed(content, { chunkBytes: 128 * 1024 })),
      expected,
    );
    for (const [offset, length] of [
      [0, 300_000],
      [1, 131_072],
      [131_071, 2],
      [299_999, 1],
    ] as const) {
      const target = new Uint8Array(length);
      await file.readInto(offset, target);
      expect(equalBytes(target, content.subarray(offset, offset + length))).toBe(true);
    }
    await expect(file.readInto(1, new Uint8Array(300_000))).rejects.toThrow(
      code("invalid-argument"),
    );
    await expect(file.readInto(0.5, new Uint8Array(1))).rejects.toThrow(code("invalid-argument"));
  });

  test("a failure leaves nothing of the part before it", async () => {
    const bytes = await sealed(pattern(3 * chunkBytes));
    const at = headerEnd(bytes) + 2 * (chunkBytes + 16);
    bytes[at] = (bytes[at] as number) ^ 1;
    const file = await openSealedFile(memoryStore(bytes), expected);
    const target = new Uint8Array(3 * chunkBytes).fill(9);
    await expect(file.readInto(0, target)).rejects.toThrow(code("chunk-altered"));
    expect(target.every((byte) => byte === 0)).toBe(true);
  });
});

describe("another wrapping", () => {
  const other = secretKeyWrapper("other", new Secret(new Uint8Array(32).fill(8)));

  async function rewrapped(bytes: Uint8Array): Promise<Uint8Array<ArrayBuffer>> {
    const target = memoryStore();
    await rewrapSealedFile(memoryStore(bytes), target, { from: wrapper, to: other });
    return target.bytes();
  }

  test("opens with the new wrapper only, with the same chunks", async () => {
    const content = pattern(3 * chunkBytes + 5);
    const bytes = await sealed(content);
    const after = await rewrapped(bytes);
    expect(await readAll(after, { wrapper: other })).toEqual(content);
    await expect(readAll(after)).rejects.toThrow(code("wrong-key"));
    expect(after.subarray(headerEnd(after), -32)).toEqual(bytes.subarray(headerEnd(bytes), -32));
    expect(await describeSealedFile(memoryStore(after))).toMatchObject({
      wrapper: "other",
      name: "model",
      version: 3,
      length: content.length,
      chunks: 4,
    });
  });

  test("what was altered before is met after", async () => {
    const bytes = await sealed(pattern(chunkBytes));
    bytes[headerEnd(bytes)] = (bytes[headerEnd(bytes)] as number) ^ 1;
    const after = await rewrapped(bytes);
    await expect(readAll(after, { wrapper: other })).rejects.toThrow(code("chunk-altered"));
  });

  test("refuses a file that is cut, has a forged header or another end, and a target in use", async () => {
    const bytes = await sealed(pattern(2 * chunkBytes));
    await expect(rewrapped(bytes.subarray(0, -1))).rejects.toThrow(code("truncated"));
    const forged = new Uint8Array(bytes);
    const mac = headerEnd(bytes) - 1;
    forged[mac] = (forged[mac] as number) ^ 1;
    await expect(rewrapped(forged)).rejects.toThrow(code("header-altered"));
    const ended = new Uint8Array(bytes);
    ended[bytes.length - 1] = (ended[bytes.length - 1] as number) ^ 1;
    await expect(rewrapped(ended)).rejects.toThrow(code("header-swapped"));
    await expect(
      rewrapSealedFile(memoryStore(bytes), memoryStore(Uint8Array.of(1)), {
        from: wrapper,
        to: other,
      }),
    ).rejects.toThrow(code("invalid-argument"));
  });

  test("cut short while copying, it says so", async () => {
    const target = memoryStore();
    const inner = target.write;
    let left = 2;
    target.write = (offset, part) =>
      left-- > 0 ? inner(offset, part) : Promise.reject(new Error("disk full"));
    const source = memoryStore(await sealed(pattern(2 * chunkBytes)));
    await expect(rewrapSealedFile(source, target, { from: wrapper, to: other })).rejects.toThrow(
      "disk full",
    );
    await expect(readAll(target.bytes(), { wrapper: other })).rejects.toThrow(code("incomplete"));
  });
});

describe("writer", () => {
  test("refuses a store that is not empty, and overlapping writes", async () => {
    await expect(sealFile(memoryStore(new Uint8Array(1)), pattern(1), as)).rejects.toThrow(
      code("invalid-argument"),
    );
    const writer = await createSealedFile(memoryStore(), { ...as, chunkBytes });
    const first = writer.write(pattern(9000));
    await expect(writer.write(pattern(1))).rejects.toThrow(code("invalid-argument"));
    await first;
  });

  test("refuses names, types, versions and chunk sizes out of range", async () => {
    for (const bad of [
      { name: "" },
      { name: "x".repeat(256) },
      { type: "" },
      { version: -1 },
      { version: 1.5 },
      { chunkBytes: 100 },
      { chunkBytes: 2 ** 25 },
    ]) {
      await expect(sealFile(memoryStore(), pattern(1), { ...as, ...bad })).rejects.toThrow();
    }
  });

  test("a failed write ends the file: no nonce is used twice", async () => {
    const store = memoryStore();
    const inner = store.write;
    let left = 2;
    store.write = (offset, bytes) =>
      left-- > 0 ? inner(offset, bytes) : Promise.reject(new Error("disk full"));
    const writer = await createSealedFile(store, { ...as, chunkBytes });
    await expect(writer.write(pattern(20_000))).rejects.toThrow("disk full");
    await expect(writer.write(pattern(1))).rejects.toThrow(code("closed"));
  });
});

describe("at a path", () => {
  const directories: string[] = [];
  const directory = async () => {
    const path = await mkdtemp(join(tmpdir(), "seal-"));
    directories.push(path);
    return path;
  };
  afterEach(async () => {
    for (const path of directories.splice(0)) await rm(path, { recursive: true });
  });

  test("mode 0600, replaced as a whole, old content kept when writing fails", async () => {
    const path = join(await directory(), "checkpoint");
    await sealFileAt(path, pattern(10_000), { ...as, chunkBytes });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    const before = await readFile(path);
    const failing = (function* () {
      yield pattern(10);
      throw new Error("source broke");
    })();
    await expect(sealFileAt(path, failing, as)).rejects.toThrow("source broke");
    expect(await readFile(path)).toEqual(before);
    await expect(stat(`${path}.new`)).rejects.toThrow(/ENOENT/);
    await writeFile(`${path}.new`, "left by a crash");
    await sealFileAt(path, pattern(5), { ...as, version: 4 });
    await using file = await openSealedFileAt(path, { ...expected, minimumVersion: 4 });
    expect(await file.read(0, 5)).toEqual(pattern(5));
    expect(file.version).toBe(4);
  });

  test("absent files are named", async () => {
    const path = join(await directory(), "absent");
    await expect(openSealedFileAt(path, expected)).rejects.toThrow(/Cannot open .*absent/);
    const handle = await open(await writeFile(path, "x").then(() => path), "r");
    await handle.close();
    await expect(openSealedFileAt(path, expected)).rejects.toThrow(code("truncated"));
  });
});
