import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";
import type { OpenTableOptions } from "../src/open.ts";
import { openTable } from "../src/open.ts";

const directory = mkdtempSync(join(tmpdir(), "vivarium-tables-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let next = 0;

/** A fresh path, in a directory of its own. */
export function fresh(name: string): string {
  return join(mkdtempSync(join(directory, `${next++}-`)), name);
}

export function file(name: string, content: string | Uint8Array): string {
  const path = fresh(name);
  writeFileSync(path, content);
  return path;
}

export function listing(path: string): string[] {
  return readdirSync(join(path, ".."));
}

/** Keys as arrays of column values, with their rows. */
export async function readKeys(options: OpenTableOptions) {
  await using table = await openTable(options);
  const keys: string[][] = [];
  const rows: number[] = [];
  for await (const batch of table.batches()) {
    for (let i = 0; i + 1 < batch.offsets.length; i++) {
      keys.push(split(batch.bytes.subarray(batch.offsets[i], batch.offsets[i + 1])));
    }
    rows.push(...batch.rows);
  }
  return { keys, rows, counts: table.counts, columns: table.columns, total: table.rows };
}

function split(bytes: Uint8Array): string[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values: string[] = [];
  let at = 4;
  for (let i = 0; i < view.getUint32(0); i++) {
    const length = view.getUint32(at);
    values.push(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + length)));
    at += 4 + length;
  }
  return values;
}
