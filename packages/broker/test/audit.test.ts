/** The audit log: what is in it stays in it, or everybody who has the key finds out. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { concat, fromUtf8, manualClock, type Signer, utf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import fc from "fast-check";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { decodeEntry, encodeEntry } from "../src/audit/entry.ts";
import { type AuditLog, openAuditLog } from "../src/audit/log.ts";
import {
  decodeVkey,
  encodeVkey,
  noteKey,
  openCheckpoint,
  parseCheckpoint,
  signedBy,
  type Trust,
} from "../src/audit/note.ts";
import { verifyProof } from "../src/audit/proof.ts";
import { openLogReader } from "../src/audit/read.ts";
import { directoryStore, lockDirectory } from "../src/audit/store.ts";
import { tilePath } from "../src/audit/tiles.ts";
import {
  consistencyProof,
  inclusionProof,
  leafHash,
  nodeHash,
  type SubtreeReader,
  splitOf,
  verifyConsistency,
  verifyInclusion,
} from "../src/audit/tree.ts";
import { createWitness, encodeWitnessRequest } from "../src/audit/witness.ts";
import { askWitness, serveWitness } from "../src/audit/witness-http.ts";
import { copyOf, type MemoryStore, memoryLogStore } from "./memory-store.ts";

const crypto = nodeCrypto();
const name = "test/log";
const code = (wanted: string) => expect.objectContaining({ code: wanted });
let pkcs8: Uint8Array;
let signer: Signer;
let trust: Trust;

beforeAll(async () => {
  pkcs8 = await crypto.generatePrivateKey("EdDSA");
  signer = await crypto.importSigner("EdDSA", pkcs8);
  trust = { log: noteKey("log", name, signer), witnesses: [], quorum: 0 };
});

const entryOf = (i: number) => utf8(`entry ${i}`);
const open = (store: MemoryStore): Promise<AuditLog> =>
  openAuditLog({ store, name, signer, crypto, create: true });
const reader = (store: MemoryStore, by: Trust = trust) =>
  openLogReader({ store, trust: by, crypto });

async function filled(size: number, store = memoryLogStore()): Promise<MemoryStore> {
  const log = await open(store);
  await Promise.all(Array.from({ length: size }, (_, i) => log.append(entryOf(i))));
  await log.close();
  return store;
}

describe("trees", () => {
  /** RFC 6962, section 2.1, word for word. */
  const naive = (leaves: readonly Uint8Array[]): Uint8Array => {
    if (leaves.length === 1) return leaves[0] as Uint8Array;
    const k = splitOf(leaves.length);
    return nodeHash(naive(leaves.slice(0, k)), naive(leaves.slice(k)));
  };
  const leaves = Array.from({ length: 70 }, (_, i) => leafHash(entryOf(i)));
  const read: SubtreeReader = async (level, index) =>
    naive(leaves.slice(index * 2 ** level, (index + 1) * 2 ** level));

  test("every inclusion and consistency proof up to 70 entries verifies, and only as it is", async () => {
    for (let size = 1; size <= 70; size += size < 18 ? 1 : 13) {
      const root = naive(leaves.slice(0, size));
      for (let i = 0; i < size; i++) {
        const proof = await inclusionProof(read, i, size);
        const leaf = leaves[i] as Uint8Array;
        expect(verifyInclusion(leaf, i, size, proof, root)).toBe(true);
        expect(verifyInclusion(leaf, i, size, [...proof, leaf], root)).toBe(false);
        if (proof.length > 0) {
          expect(verifyInclusion(leaf, i, size, proof.slice(1), root)).toBe(false);
        }
        const other = leaves[(i + 1) % size] as Uint8Array;
        if (size > 1) expect(verifyInclusion(other, i, size, proof, root)).toBe(false);
        if (size > 1) expect(verifyInclusion(leaf, (i + 1) % size, size, proof, root)).toBe(false);
      }
      for (let old = 1; old <= size; old++) {
        const before = naive(leaves.slice(0, old));
        const proof = await consistencyProof(read, old, size);
        expect(verifyConsistency(old, size, proof, before, root)).toBe(true);
        if (old === size) continue;
        expect(verifyConsistency(old, size, proof.slice(1), before, root)).toBe(false);
        expect(verifyConsistency(old, size, proof, root, root)).toBe(false);
        expect(verifyConsistency(old, size, proof, before, before)).toBe(false);
      }
    }
  });

  test("property: proofs of junk are refused, never thrown at", () => {
    const hash = fc.uint8Array({ minLength: 32, maxLength: 32 });
    fc.assert(
      fc.property(fc.nat(99), fc.nat(99), fc.array(hash, { maxLength: 70 }), hash, (a, b, p, h) => {
        expect(verifyInclusion(h, a, b, p, leafHash(h))).toBe(false);
        expect(verifyConsistency(a, b, p, h, leafHash(h))).toBe(false);
      }),
    );
  });
});

describe("notes", () => {
  // The example of golang.org/x/mod/sumdb/note, which every implementation is held to.
  const vkey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
  const text =
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n";
  const line =
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=";

  test("Go's note verifies under its key, and not with a byte changed", async () => {
    const key = decodeVkey(vkey);
    expect(encodeVkey(key)).toBe(vkey);
    const [, who = "", body = ""] = line.split(" ");
    const bytes = new Uint8Array(Buffer.from(body, "base64"));
    const signatures = [{ name: who, keyId: bytes.slice(0, 4), signature: bytes.slice(4) }];
    const note = { origin: who, size: 0, root: new Uint8Array(32), text, signatures };
    expect(await signedBy(crypto, note, key)).toEqual({ signed: true });
    expect(await signedBy(crypto, { ...note, text: `${text}x` }, key)).toEqual({ signed: false });
  });

  test("keys and checkpoints out of form are refused", async () => {
    for (const bad of ["", "a+b", vkey.replace("c74f", "c74e"), vkey.replace("+AR", "+AB")]) {
      expect(() => decodeVkey(bad)).toThrow(code("malformed"));
    }
    const note = fromUtf8((await open(memoryLogStore())).checkpoint);
    for (const bad of [
      "",
      "x",
      note.replace("\n0\n", "\n00\n"),
      note.replace("\n0\n", "\n-1\n"),
      note.replace("\n\n", "\n"),
      `${note}\n\n`,
      note.replace("\u2014", "-"),
      "a".repeat(70_000),
    ]) {
      expect(() => parseCheckpoint(utf8(bad))).toThrow(code("malformed"));
    }
  });

  test("property: arbitrary text is malformed, or a checkpoint", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        try {
          parseCheckpoint(bytes);
        } catch (error) {
          expect(error).toMatchObject({ domain: "broker", code: "malformed" });
        }
      }),
    );
  });

  test("a checkpoint of another key, or of this key for another log, is not genuine", async () => {
    const store = await filled(3);
    const other = await crypto.generateSigner("EdDSA");
    const by = (log: Trust["log"]) => reader(store, { log, witnesses: [], quorum: 0 });
    await expect(by(noteKey("log", name, other))).rejects.toThrow(code("not-genuine"));
    await expect(by(noteKey("log", "test/other", signer))).rejects.toThrow(code("not-genuine"));
  });
});

describe("log", () => {
  test("paths are those of tlog-tiles", () => {
    expect(tilePath({ level: 0, index: 0, width: 5 })).toBe("tile/0/000.p/5");
    expect(tilePath({ level: 1, index: 1234067, width: 256 })).toBe("tile/1/x001/x234/067");
    expect(tilePath({ level: "entries", index: 999, width: 256 })).toBe("tile/entries/999");
  });

  test("keeps entries in order, over several tiles, levels and openings", async () => {
    const store = memoryLogStore();
    let total = 0;
    for (const count of [1, 2, 253, 1, 255, 600, 3]) {
      const log = await open(store);
      const first = total;
      const results = await Promise.all(
        Array.from({ length: count }, (_, i) => log.append(entryOf(first + i))),
      );
      results.forEach(({ index }, i) => {
        expect(index).toBe(first + i);
      });
      total += count;
      expect(log.size).toBe(total);
      await log.close();
    }
    const view = await reader(store);
    expect(view.checkpoint.size).toBe(total);
    let next = 0;
    for await (const { index, entry } of view.entries(0, total)) {
      expect(index).toBe(next);
      expect(entry).toEqual(entryOf(next++));
    }
    expect(next).toBe(total);
    expect(await view.verifyAll()).toEqual({ strangers: [] });
    for (const index of [0, 255, 256, 1000, total - 1]) {
      const proven = await verifyProof(crypto, await view.prove(index), trust);
      expect(proven).toMatchObject({ index, entry: entryOf(index) });
    }
  });

  test("grows out of each of its checkpoints, and out of no other log's", async () => {
    const store = memoryLogStore();
    const log = await open(store);
    const notes = [log.checkpoint];
    for (let i = 0; i < 300; i += 37) {
      await Promise.all(Array.from({ length: 37 }, (_, j) => log.append(entryOf(i + j))));
      notes.push(log.checkpoint);
    }
    const view = await reader(store);
    for (const note of notes) await view.requireGrownFrom(note);
    const other = memoryLogStore();
    const fork = await open(other);
    await fork.append(utf8("another history"));
    await expect(view.requireGrownFrom(fork.checkpoint)).rejects.toThrow(code("forked"));
    // Set back: the store of yesterday under today's checkpoint.
    const yesterday = await reader(await filled(74));
    await expect(yesterday.requireGrownFrom(log.checkpoint)).rejects.toThrow(code("forked"));
  });

  test("any byte of any file changed, and any file removed, is found", async () => {
    const store = await filled(258);
    const paths = await store.list();
    expect(paths.length).toBe(6);
    for (const path of paths) {
      const bytes = store.files.get(path) as Uint8Array;
      const step = bytes.length > 400 ? 97 : 5;
      for (let i = 0; i < bytes.length; i += step) {
        const bad = copyOf(store);
        (bad.files.get(path) as Uint8Array)[i] = (bytes[i] as number) ^ 1;
        const found = reader(bad).then((view) => view.verifyAll());
        await expect(found, `${path} ${i}`).rejects.toThrow(
          expect.objectContaining({ domain: "broker" }),
        );
      }
      const gone = copyOf(store);
      gone.files.delete(path);
      await expect(reader(gone).then((view) => view.verifyAll())).rejects.toThrow();
      const longer = copyOf(store);
      longer.files.set(path, concat(bytes, Uint8Array.of(0)));
      await expect(reader(longer).then((view) => view.verifyAll())).rejects.toThrow();
    }
  });

  test("an altered edge is not built upon", async () => {
    for (const path of ["tile/0/000.p/5", "tile/entries/000.p/5", "checkpoint"]) {
      const bad = await filled(5);
      const bytes = bad.files.get(path) as Uint8Array;
      bytes[bytes.length - 3] = (bytes[bytes.length - 3] as number) ^ 1;
      await expect(open(bad)).rejects.toThrow(expect.objectContaining({ domain: "broker" }));
    }
    const headless = await filled(5);
    headless.files.delete("checkpoint");
    await expect(open(headless)).rejects.toThrow(code("tampered"));
  });

  test("a lost log is not replaced by an empty one unless that is asked for", async () => {
    const store = memoryLogStore();
    await expect(openAuditLog({ store, name, signer, crypto, create: false })).rejects.toThrow(
      code("unavailable"),
    );
    expect(store.files.size).toBe(0);
  });

  test("disk full at any write: nothing is acknowledged, nothing lost, and it goes on after", async () => {
    for (let left = 0; left < 4; left++) {
      const store = await filled(255);
      const log = await open(store);
      store.left = left;
      const all = [log.append(entryOf(255)), log.append(entryOf(256))];
      const results = await Promise.allSettled(all);
      expect(results.every(({ status }) => status === "rejected")).toBe(true);
      await expect(log.append(entryOf(255))).rejects.toThrow();
      store.left = Number.POSITIVE_INFINITY;
      expect(await log.append(entryOf(255))).toMatchObject({ index: 255 });
      const view = await reader(store);
      expect(view.checkpoint.size).toBe(256);
      await view.verifyAll();
      await log.close();
      await expect(log.append(entryOf(1))).rejects.toThrow(code("closed"));
    }
  });

  test("a checkpoint changed behind the writer's back stops it", async () => {
    const store = await filled(3);
    const [a, b] = [await open(store), await open(store)];
    await a.append(entryOf(3));
    await expect(b.append(utf8("fork"))).rejects.toThrow(code("in-use"));
    await (await reader(store)).verifyAll();
  });

  test("entries have their limits", async () => {
    const log = await open(memoryLogStore());
    await expect(log.append(new Uint8Array(0))).rejects.toThrow(code("limit-exceeded"));
    await expect(log.append(new Uint8Array(65_536))).rejects.toThrow(code("limit-exceeded"));
    expect(await log.append(new Uint8Array(65_535))).toMatchObject({ index: 0 });
    expect(() => encodeEntry("remark", 1, { Bad: 1 })).toThrow(code("invalid-argument"));
    expect(decodeEntry(encodeEntry("remark", 1, { text: "x" }))).toEqual({
      at: 1,
      event: "remark",
      fields: { text: "x" },
    });
    for (const bad of ["", "1", "[]", "{}", '{"v":1,"at":1,"event":"x","f":{}}']) {
      expect(() => decodeEntry(utf8(bad))).toThrow(code("malformed"));
    }
  });
});

describe("proofs", () => {
  test("any character changed, another log's key, another entry: refused", async () => {
    const view = await reader(await filled(9));
    const proof = await view.prove(4);
    for (let i = 0; i < proof.length; i += 3) {
      const bad = proof.slice();
      bad[i] = (bad[i] as number) ^ 1;
      await expect(verifyProof(crypto, bad, trust), `byte ${i}`).rejects.toThrow(
        expect.objectContaining({ domain: "broker" }),
      );
    }
    const moved = utf8(fromUtf8(proof).replace("index 4", "index 5"));
    await expect(verifyProof(crypto, moved, trust)).rejects.toThrow(code("tampered"));
  });
});

describe("witnesses", () => {
  const clock = manualClock(1_800_000_000_000);

  async function witness(store = memoryLogStore(), as = "test/witness") {
    const key = await crypto.generateSigner("EdDSA");
    const options = { store, name: as, signer: key, logs: [trust.log], crypto, clock };
    return { key: noteKey("witness", as, key), ask: createWitness(options).addCheckpoint, options };
  }

  async function request(store: MemoryStore, old: number): Promise<Uint8Array> {
    const view = await reader(store);
    return encodeWitnessRequest(old, await view.consistency(old), view.note);
  }

  test("cosigns what grows, and the cosignature counts towards a quorum", async () => {
    const { key, ask } = await witness();
    const store = await filled(5);
    const first = await ask(await request(store, 0));
    expect(first.status).toBe(200);
    const log = await open(store);
    await log.addCosignatures(5, first.body);
    await log.addCosignatures(4, "\u2014 of another checkpoint\n");
    const demanding = { ...trust, witnesses: [key], quorum: 1 };
    expect((await reader(store, demanding)).checkpoint.size).toBe(5);
    await log.append(entryOf(5));
    await expect(reader(store, demanding)).rejects.toThrow(code("not-genuine"));
    const second = await ask(await request(store, 5));
    expect(second.status).toBe(200);
    await log.addCosignatures(6, second.body);
    const opened = await openCheckpoint(crypto, log.checkpoint, demanding);
    expect(await signedBy(crypto, opened, key)).toEqual({ signed: true, time: 1_800_000_000 });
    await (await reader(store, demanding)).verifyAll();
    // One witness twice is one witness.
    await expect(
      openCheckpoint(crypto, log.checkpoint, { ...trust, witnesses: [key, key], quorum: 2 }),
    ).rejects.toThrow(code("invalid-argument"));
  });

  test("a fork shown to two witnesses: each cosigns one side, and neither the other", async () => {
    const [a, b] = [await witness(), await witness()];
    const common = await filled(4);
    for (const { ask } of [a, b]) expect((await ask(await request(common, 0))).status).toBe(200);
    const [left, right] = [copyOf(common), copyOf(common)];
    await (await open(left)).append(utf8("released to nobody"));
    await (await open(right)).append(utf8("released to mallory"));
    expect((await a.ask(await request(left, 4))).status).toBe(200);
    expect((await b.ask(await request(right, 4))).status).toBe(200);
    // Of the same size and with another root: the fork shows, whatever proof comes with it.
    expect(await a.ask(await request(right, 4))).toMatchObject({ status: 409, body: "5\n" });
    expect((await a.ask(await request(right, 5))).status).toBe(409);
    await (await open(right)).append(utf8("more"));
    const view = await reader(right);
    const lie = encodeWitnessRequest(5, await view.consistency(5), view.note);
    expect((await a.ask(lie)).status).toBe(422);
    const both = { ...trust, witnesses: [a.key, b.key], quorum: 2 };
    await expect(reader(left, both)).rejects.toThrow(code("not-genuine"));
  });

  test("over HTTP: cosigned, set back, forked, junk, another key, and away", async () => {
    const store = memoryLogStore();
    const { key, options } = await witness(store);
    const server = await serveWitness({
      witness: createWitness(options),
      host: "127.0.0.1",
      port: 0,
    });
    onTestFinished(() => server.close());
    const url = `http://127.0.0.1:${server.port}`;
    const files = await filled(3);
    const ask = async (from: MemoryStore, by = key) => {
      const log = await open(from);
      const view = (): ReturnType<typeof reader> => reader(from);
      return askWitness({ url, key: by, log, reader: view, crypto });
    };
    const yesterday = copyOf(files);
    expect(await ask(files)).toBe(3);
    await (await open(files)).append(entryOf(3));
    expect(await ask(files)).toBe(4);
    expect(await ask(files)).toBe(4);
    const demanding = { ...trust, witnesses: [key], quorum: 1 };
    expect((await reader(files, demanding)).checkpoint.size).toBe(4);
    await expect(ask(yesterday)).rejects.toThrow(code("rolled-back"));
    await (await open(yesterday)).append(utf8("another history"));
    await expect(ask(yesterday)).rejects.toThrow(code("forked"));
    await (await open(yesterday)).append(utf8("longer"));
    await expect(ask(yesterday)).rejects.toThrow(code("forked"));
    const stranger = noteKey("witness", key.name, await crypto.generateSigner("EdDSA"));
    await expect(ask(files, stranger)).rejects.toThrow(code("not-genuine"));
    const send = async (path: string, body: Uint8Array<ArrayBuffer>) =>
      (await fetch(`${url}${path}`, { method: "POST", body })).status;
    expect(await send("/add-checkpoint", utf8("junk"))).toBe(400);
    expect(await send("/other", utf8("junk"))).toBe(404);
    const big = await send("/add-checkpoint", new Uint8Array(200_000)).catch(() => 413);
    expect(big).toBe(413);
    store.left = 0;
    await (await open(files)).append(entryOf(4));
    await expect(ask(files)).rejects.toThrow(code("unavailable"));
    await server.close();
    await expect(ask(files)).rejects.toThrow(code("unavailable"));
  });

  test("answers as tlog-witness says, and remembers over a restart", async () => {
    const store = memoryLogStore();
    const { ask, options } = await witness(store);
    const log = await filled(6);
    expect((await ask(utf8("junk"))).status).toBe(400);
    expect((await ask(await request(log, 0))).status).toBe(200);
    const again = createWitness(options);
    expect(await again.addCheckpoint(await request(log, 0))).toEqual({ status: 409, body: "6\n" });
    expect((await again.addCheckpoint(await request(log, 6))).status).toBe(200);
    const unknown = createWitness({ ...options, logs: [] });
    expect((await unknown.addCheckpoint(await request(log, 6))).status).toBe(404);
    const other = noteKey("log", name, await crypto.generateSigner("EdDSA"));
    const stranger = createWitness({ ...options, logs: [other] });
    expect((await stranger.addCheckpoint(await request(log, 6))).status).toBe(403);
    const note = fromUtf8((await reader(log)).note);
    expect((await again.addCheckpoint(utf8(`old 9\n\n${note}`))).status).toBe(400);
    store.left = 0;
    await (await open(log)).append(entryOf(6));
    await expect(again.addCheckpoint(await request(log, 6))).rejects.toThrow();
    store.left = 9;
    expect((await again.addCheckpoint(await request(log, 6))).status).toBe(200);
  });
});

describe("in a directory", () => {
  const directory = () => {
    const path = mkdtempSync(join(tmpdir(), "vivarium-audit-"));
    onTestFinished(() => rmSync(path, { recursive: true, force: true }));
    return path;
  };
  const script = (file: string) => fileURLToPath(new URL(file, import.meta.url));
  const tsx = script("../../../node_modules/.bin/tsx");

  test("one writer at a time, and a dead one's lock holds nobody up", async () => {
    const path = directory();
    const unlock = await lockDirectory(path);
    await expect(lockDirectory(path)).rejects.toThrow(code("in-use"));
    await unlock();
    writeFileSync(join(path, "lock"), "999999999 1\n");
    await (await lockDirectory(path))();
    // Its number has been given to another process since.
    writeFileSync(join(path, "lock"), `${process.pid} 1\n`);
    await (await lockDirectory(path))();
  });

  test("kill -9 at any moment loses no acknowledged entry", { timeout: 120_000 }, async () => {
    const path = directory();
    const acknowledged = new Map<number, string>();
    for (const [batch, entries] of [
      ["1", 3],
      ["40", 90],
      ["300", 350],
    ] as const) {
      await killed(path, batch, entries, acknowledged);
      const view = await openLogReader({ store: directoryStore(path), trust, crypto });
      expect(view.checkpoint.size).toBeGreaterThanOrEqual(acknowledged.size);
      await view.verifyAll();
      const found = new Map<number, string>();
      for await (const { index, entry } of view.entries(0, view.checkpoint.size)) {
        found.set(index, fromUtf8(entry));
      }
      for (const [index, entry] of acknowledged) expect(found.get(index)).toBe(entry);
    }
    expect(acknowledged.size).toBeGreaterThan(440);
  });

  /** Runs the appender until it has said so many entries, then kills it in the middle of the next. */
  async function killed(
    path: string,
    batch: string,
    entries: number,
    said: Map<number, string>,
  ): Promise<void> {
    const args = [script("./appender.ts"), path, Buffer.from(pkcs8).toString("base64"), batch];
    const child: ChildProcess = spawn(process.execPath, ["--import", "tsx", ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    const enough = said.size + entries;
    await new Promise<void>((resolve, reject) => {
      child.on("error", reject);
      child.on("close", () => resolve());
      child.stdout?.on("data", (data: Buffer) => {
        text += data.toString("utf8");
        const lines = text.split("\n");
        text = lines.pop() as string;
        for (const line of lines) {
          const space = line.indexOf(" ");
          said.set(Number(line.slice(0, space)), line.slice(space + 1));
        }
        if (said.size >= enough) child.kill("SIGKILL");
      });
    });
  }

  test("the verifier in one file agrees, and finds what was changed", {
    timeout: 60_000,
  }, async () => {
    const path = directory();
    const store = directoryStore(path);
    const log = await openAuditLog({ store, name, signer, crypto, create: true });
    await Promise.all(Array.from({ length: 300 }, (_, i) => log.append(entryOf(i))));
    writeFileSync(join(path, "..", `${path.split("/").at(-1)}.older`), log.checkpoint);
    const older = join(path, "..", `${path.split("/").at(-1)}.older`);
    onTestFinished(() => rmSync(older, { force: true }));
    await Promise.all(Array.from({ length: 10 }, (_, i) => log.append(entryOf(300 + i))));
    const verifier = script("../src/audit-verify.ts");
    const run = (...args: string[]) =>
      spawnSync(tsx, [verifier, path, encodeVkey(trust.log), ...args], { encoding: "utf8" });
    expect(run(older)).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^verified: 310/),
    });
    const file = join(path, "tile/0/000");
    const bytes = readFileSync(file);
    bytes[77] = (bytes[77] as number) ^ 1;
    writeFileSync(file, bytes);
    expect(run()).toMatchObject({ status: 3, stderr: expect.stringMatching(/another hash/) });
    const text = readFileSync(verifier, "utf8");
    expect(text.split("\n").length).toBeLessThanOrEqual(200);
    for (const [, from = ""] of text.matchAll(/from "([^"]+)"/g)) expect(from).toMatch(/^node:/);
  });
});
