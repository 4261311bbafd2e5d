/** Key files: private, whole, of one kind. */
import {
  chmodSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { toHex } from "@vivarium/core";
import { afterEach, beforeEach, expect, test } from "vitest";
import { openDevelopmentRoot, openKeyFile } from "../src/collect/index.ts";
import { codeOf } from "./fixture.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "vivarium-keys-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

test("is made on first use with mode 0600 and is the same afterwards", async () => {
  const path = join(directory, "state", "root.pem");
  const first = await openDevelopmentRoot(path, { create: true });
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(statSync(join(directory, "state")).mode & 0o777).toBe(0o700);
  const again = await openDevelopmentRoot(path, { create: false });
  expect(toHex(again.publicKey)).toBe(toHex(first.publicKey));
  expect(readdirSync(join(directory, "state"))).toEqual(["root.pem"]);
});

test("many at once make one key", async () => {
  const path = join(directory, "root.pem");
  const all = await Promise.all(
    Array.from({ length: 8 }, () => openDevelopmentRoot(path, { create: true })),
  );
  expect(new Set(all.map(({ publicKey }) => toHex(publicKey))).size).toBe(1);
  expect(readdirSync(directory)).toEqual(["root.pem"]);
});

test.each([0o640, 0o604, 0o660, 0o666, 0o620, 0o602, 0o700])("mode %o is refused", async (mode) => {
  const path = join(directory, "key.pem");
  await openKeyFile(path, { kind: "identity", create: true });
  chmodSync(path, mode);
  expect(await codeOf(openKeyFile(path, { kind: "identity", create: true }))).toBe("unavailable");
});

test("absent, linked, a directory, of another kind, or not a key", async () => {
  const path = join(directory, "key.pem");
  const open = (at: string, kind: "identity" | "development-root" = "identity"): Promise<string> =>
    codeOf(openKeyFile(at, { kind, create: false }));
  expect(await open(path)).toBe("unavailable");
  await openKeyFile(path, { kind: "identity", create: true, algorithm: "EdDSA" });
  expect(await open(path)).toBe("");
  expect(await open(path, "development-root")).toBe("malformed");
  symlinkSync(path, join(directory, "link"));
  expect(await open(join(directory, "link"))).toBe("unavailable");
  expect(await open(directory)).toBe("unavailable");
  const text = readFileSync(path, "utf8");
  for (const bad of ["", "key", text.slice(0, 80), text.repeat(40), text.replace(/^M/m, "N")]) {
    writeFileSync(path, bad, { mode: 0o600 });
    expect(await open(path)).toBe("malformed");
  }
});
