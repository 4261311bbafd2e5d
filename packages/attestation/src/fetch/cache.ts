/**
 * Downloads on disk, by what identifies them. Nothing in it is secret or trusted; a damaged entry is a miss,
 * so that a half-written file or a changed byte costs a download and nothing else.
 */
import { createHash, randomBytes } from "node:crypto";
import { mkdir, open, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { Download } from "./http.ts";

export interface CachedDownload extends Download {
  /** Milliseconds since the epoch. */
  readonly fetchedAt: number;
}

export interface DownloadCache {
  get(name: string): Promise<CachedDownload | undefined>;
  put(name: string, download: CachedDownload): Promise<void>;
}

const maxEntryBytes = 8 * 1024 * 1024;

/** @param directory made when first written to. */
export function diskCache(directory: string): DownloadCache {
  const pathOf = (name: string): string =>
    join(directory, `${createHash("sha256").update(name).digest("hex")}.json`);
  return {
    async get(name) {
      try {
        const bytes = await readFile(pathOf(name));
        return bytes.length > maxEntryBytes ? undefined : read(name, bytes.toString("utf8"));
      } catch {
        return undefined;
      }
    },
    async put(name, { body, headers, fetchedAt }) {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const sha256 = digest(body);
      const base64 = Buffer.from(body).toString("base64");
      const path = pathOf(name);
      // Whole or not at all: two processes may write the same entry.
      const draft = `${path}.${randomBytes(8).toString("hex")}`;
      try {
        const file = await open(draft, "wx", 0o600);
        try {
          await file.writeFile(JSON.stringify({ name, fetchedAt, sha256, headers, body: base64 }));
        } finally {
          await file.close();
        }
        await rename(draft, path);
      } catch (error) {
        await rm(draft, { force: true });
        throw error;
      }
    },
  };
}

const digest = (body: Uint8Array): string => createHash("sha256").update(body).digest("hex");

function read(name: string, text: string): CachedDownload | undefined {
  const entry = JSON.parse(text) as Readonly<Record<string, unknown>>;
  const { fetchedAt, sha256, headers, body: base64 } = entry;
  // The name inside: a file that was renamed is another entry's.
  if (entry["name"] !== name || typeof fetchedAt !== "number" || typeof base64 !== "string") {
    return undefined;
  }
  const body = new Uint8Array(Buffer.from(base64, "base64"));
  if (digest(body) !== sha256 || typeof headers !== "object" || headers === null) return undefined;
  const texts = Object.entries(headers).filter(([, value]) => typeof value === "string");
  return { body, fetchedAt, headers: Object.fromEntries(texts) as Record<string, string> };
}
