#!/usr/bin/env node
/**
 * Verifies an audit log with nothing of ours but the key: `vivarium-audit-verify <directory> <vkey>
 * [older checkpoint]`. One file, `node:` only, to be read in one sitting and rewritten by whoever does
 * not trust it. Formats: RFC 6962; c2sp.org/signed-note, tlog-checkpoint, tlog-tiles.
 */
import { createHash, createPublicKey, verify } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const sha256 = (...parts: readonly (Buffer | string)[]): Buffer => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

function fail(message: string): never {
  process.stderr.write(`NOT VERIFIED: ${message}\n`);
  process.exit(3);
}

interface Head {
  readonly size: number;
  readonly root: Buffer;
}

/** The text is signed by the key, under its name; other signatures are of no interest here. */
function openNote(note: string, vkey: string): Head {
  const [name = "", id = "", encoded = ""] = vkey.split(/\+(.{8})\+/);
  const key = Buffer.from(encoded, "base64");
  if (key.length !== 33 || key[0] !== 1) fail("the key is not name+12345678+base64");
  const keyId = sha256(`${name}\n`, key).subarray(0, 4);
  if (keyId.toString("hex") !== id) fail("the key's id is not that of its name and bytes");
  const end = note.lastIndexOf("\n\n");
  const text = note.slice(0, end + 1);
  const spki = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), key.subarray(1)]);
  const publicKey = createPublicKey({ key: spki, format: "der", type: "spki" });
  const signed = note
    .slice(end + 2)
    .split("\n")
    .some((line) => {
      const [dash, who, base64 = ""] = line.split(" ");
      const body = Buffer.from(base64, "base64");
      if (dash !== "\u2014" || who !== name || !body.subarray(0, 4).equals(keyId)) return false;
      return verify(null, Buffer.from(text), publicKey, body.subarray(4));
    });
  if (end < 0 || !signed) fail("the checkpoint is not signed by that key");
  const [origin, size = "", root = ""] = text.split("\n");
  if (origin !== name || !/^(0|[1-9]\d{0,15})$/.test(size))
    fail("the checkpoint is of another log");
  return { size: Number(size), root: Buffer.from(root, "base64") };
}

/** Merkle tree hash of RFC 6962, section 2.1, over leaf hashes. */
function treeHash(leaves: readonly Buffer[]): Buffer {
  if (leaves.length === 0) return sha256();
  if (leaves.length === 1) return leaves[0] as Buffer;
  let split = 1;
  while (split * 2 < leaves.length) split *= 2;
  return sha256(Buffer.of(1), treeHash(leaves.slice(0, split)), treeHash(leaves.slice(split)));
}

function pathOf(level: string, index: number, width: number): string {
  const groups = [String(index % 1000).padStart(3, "0")];
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, "0")}`);
  }
  return `tile/${level}/${groups.join("/")}${width === 256 ? "" : `.p/${width}`}`;
}

function readTile(directory: string, level: string, index: number, width: number): Buffer {
  const path = pathOf(level, index, width);
  if (!existsSync(join(directory, path))) fail(`${path} is missing`);
  return readFileSync(join(directory, path));
}

/** Exactly `width` entries, each behind its length in two bytes. */
function readEntries(directory: string, index: number, width: number): Buffer[] {
  const bytes = readTile(directory, "entries", index, width);
  const entries: Buffer[] = [];
  let at = 0;
  while (at + 2 <= bytes.length) {
    const end = at + 2 + bytes.readUInt16BE(at);
    if (end > bytes.length) break;
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  if (at !== bytes.length || entries.length !== width) {
    fail(`${pathOf("entries", index, width)} is not whole`);
  }
  return entries;
}

function main(): void {
  const [directory, vkey, older] = process.argv.slice(2);
  if (directory === undefined || vkey === undefined) {
    process.stderr.write("usage: vivarium-audit-verify <directory> <vkey> [older checkpoint]\n");
    process.exit(2);
  }
  if (!existsSync(join(directory, "checkpoint"))) fail("there is no checkpoint");
  const head = openNote(readFileSync(join(directory, "checkpoint"), "utf8"), vkey);
  const leaves: Buffer[] = [];
  for (let index = 0; index * 256 < head.size; index++) {
    const width = Math.min(256, head.size - index * 256);
    for (const entry of readEntries(directory, index, width)) {
      leaves.push(sha256(Buffer.of(0), entry));
    }
  }
  if (!treeHash(leaves).equals(head.root)) fail("the entries do not have the checkpoint's root");
  // The tiles of hashes are for proofs: they must say what the entries say.
  let row = leaves;
  for (let level = 0; row.length > 0; level++) {
    const up: Buffer[] = [];
    for (let index = 0; index * 256 < row.length; index++) {
      const part = row.slice(index * 256, (index + 1) * 256);
      if (!readTile(directory, String(level), index, part.length).equals(Buffer.concat(part))) {
        fail(`${pathOf(String(level), index, part.length)} has another hash than the entries`);
      }
      if (part.length === 256) up.push(treeHash(part));
    }
    row = up;
  }
  if (older !== undefined) {
    const before = openNote(readFileSync(older, "utf8"), vkey);
    const shorter = before.size > head.size;
    if (shorter || !treeHash(leaves.slice(0, before.size)).equals(before.root)) {
      fail(`the log of ${head.size} does not continue the older checkpoint of ${before.size}`);
    }
  }
  const grown = older === undefined ? "" : ", grown out of the older checkpoint";
  process.stdout.write(
    `verified: ${head.size} entries, root ${head.root.toString("base64")}${grown}\n`,
  );
}

main();
