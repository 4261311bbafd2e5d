/** A process that does not keep to the launcher's protocol: measured code may still be malicious. */
import { createHash } from "node:crypto";
import { chmod, copyFile, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { encodeManifest } from "../src/manifest.ts";
import { fixture, freshDirectory, type Keys, makeKeys, start } from "./support.ts";

let keys: Keys;
const timeout = 60_000;
const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

beforeAll(async () => {
  keys = await makeKeys();
});

describe("a hostile process", () => {
  test.each(["garbage", "oversize", "other-type", "second-hello", "silent"])(
    "%s on the link is refused and the process killed",
    async (kind) => {
      const hostile = freshDirectory();
      await copyFile(fixture("hostile.mjs"), join(hostile, "main.mjs"));
      await chmod(join(hostile, "main.mjs"), 0o600);
      const text = (await readFile(join(hostile, "main.mjs"), "utf8")).replace("@KIND@", kind);
      await writeFile(join(hostile, "main.mjs"), text);
      const bytes = await readFile(join(hostile, "main.mjs"));
      await writeFile(
        join(hostile, "manifest.json"),
        encodeManifest({
          version: 1,
          name: "hostile",
          main: "main.mjs",
          tasks: null,
          native: [],
          files: [{ path: "main.mjs", sha256: sha256(bytes), size: bytes.length }],
        }),
      );
      const run = start(hostile, keys, null, { startTimeoutMs: kind === "silent" ? 500 : 30_000 });
      const outcome = run.then(({ worker }) => worker.result);
      const code = kind === "silent" ? "start-failed" : "protocol";
      await expect(outcome).rejects.toMatchObject({ domain: "workers", code });
    },
    timeout,
  );
});
