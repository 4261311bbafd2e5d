/**
 * How much `npm ci` downloads: what is in an npm cache that was empty before.
 *
 *     npm ci --cache DIR && tsx scripts/check-size.ts DIR
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { report } from "./files.ts";

/** What the README promises. */
const maxDownloadBytes = 150_000_000;

/**
 * Tarballs count as they are. The rest is package metadata, which the cache holds unpacked and
 * which registries send compressed.
 */
function downloadOf(file: string): number {
  const bytes = readFileSync(file);
  const isTarball = bytes[0] === 0x1f && bytes[1] === 0x8b;
  return isTarball ? bytes.length : gzipSync(bytes).length;
}

function downloadsUnder(folder: string): number {
  let sum = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    sum += entry.isDirectory() ? downloadsUnder(path) : downloadOf(path);
  }
  return sum;
}

const cache = process.argv[2];
if (cache === undefined) {
  console.error("usage: tsx scripts/check-size.ts <npm cache that was empty before npm ci>");
  process.exit(2);
}
const bytes = downloadsUnder(join(cache, "_cacache", "content-v2"));
const megabytes = (bytes / 1e6).toFixed(1);
const over = bytes > maxDownloadBytes;
report(
  "size",
  over ? [`npm ci downloads ${megabytes} MB, the limit is ${maxDownloadBytes / 1e6}`] : [],
  `npm ci downloads ${megabytes} MB`,
);
