import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { toHex } from "@vivarium/core";
import type { Bundle } from "@vivarium/workers/bundle";
import { beforeAll, describe, expect, test } from "vitest";
import { copyBundle } from "../src/measure.ts";
import {
  buildFixture,
  fixture,
  freshDirectory,
  type Keys,
  makeKeys,
  recordingLog,
  start,
} from "./support.ts";

let bundle: Bundle;
let keys: Keys;
const timeout = 60_000;

beforeAll(async () => {
  bundle = await buildFixture();
  keys = await makeKeys();
}, timeout);

const sha256 = (bytes: Uint8Array) => createHash("sha256").update(bytes).digest("hex");

async function changedBundle(name: string): Promise<string> {
  const copy = freshDirectory();
  await cp(bundle.directory, copy, { recursive: true });
  const path = join(copy, name);
  const bytes = await readFile(path);
  bytes[bytes.length - 2] = (bytes[bytes.length - 2] as number) ^ 1;
  await writeFile(path, bytes);
  return copy;
}

describe("measured launch", () => {
  test.each(["main.mjs", "tasks.mjs"])(
    "refuses a bundle with one changed byte in %s",
    async (name) => {
      const copy = await changedBundle(name);
      const expected = bundle.manifest.files.find(({ path }) => path === name)?.sha256 as string;
      const actual = sha256(await readFile(join(copy, name)));
      const directory = freshDirectory();
      const refused = start(copy, keys, { action: "echo" }, { directory });
      await expect(refused).rejects.toMatchObject({ code: "digest-mismatch" });
      await expect(refused).rejects.toThrow(new RegExp(`${name}.*${expected}.*${actual}`));
      expect(readdirSync(directory)).toEqual([]);
    },
  );

  test("refuses a manifest with one changed byte", async () => {
    const copy = await changedBundle("manifest.json");
    await expect(start(copy, keys, null)).rejects.toMatchObject({ code: "invalid-manifest" });
  });

  test(
    "measures the runtime and flags that it runs, and reports the isolation as data",
    async () => {
      const { worker } = await start(bundle.directory, keys, { action: "echo" });
      const result = (await worker.result) as { flags: string[]; environment: string[] };
      expect(toHex(worker.statement.runtime)).toBe(sha256(await readFile(process.execPath)));
      expect(toHex(worker.statement.code)).toBe(bundle.digest);
      expect(result.flags).toContain("--disallow-code-generation-from-strings");
      expect(result.flags).toContain("--no-addons");
      const { worker: other } = await start(
        bundle.directory,
        keys,
        { action: "echo" },
        {
          limits: { memoryMb: 512 },
        },
      );
      expect(toHex(other.statement.flags)).not.toBe(toHex(worker.statement.flags));
      await other.exited;
      expect(worker.isolation.process).toBe(true);
      const lacks = worker.isolation.namespaces.length === 0;
      expect(worker.isolation.missing.some((line) => line.startsWith("unshare"))).toBe(lacks);
    },
    timeout,
  );

  test(
    "runs the hashed bytes: swapping the original afterwards changes nothing (T8)",
    async () => {
      const copy = freshDirectory();
      await cp(bundle.directory, copy, { recursive: true });
      const measured = await copyBundle({ bundle: copy, executable: process.execPath });
      try {
        await writeFile(join(copy, "main.mjs"), "process.exit(99)");
        const expected = bundle.manifest.files.find(({ path }) => path === "main.mjs")?.sha256;
        expect(sha256(await readFile(measured.main))).toBe(expected);
        expect(sha256(await readFile(measured.executable))).toBe(toHex(measured.runtime.sha256));
      } finally {
        await measured.remove();
      }
      expect(existsSync(measured.directory)).toBe(false);
    },
    timeout,
  );

  test(
    "keeps the launcher's environment out (T37)",
    async () => {
      const before = { ...process.env };
      Object.assign(process.env, {
        NODE_OPTIONS: "--require=/nonexistent.js",
        LD_PRELOAD: "/nonexistent.so",
        NODE_EXTRA_CA_CERTS: "/nonexistent.pem",
        OPENSSL_CONF: "/nonexistent.cnf",
      });
      try {
        const { worker } = await start(bundle.directory, keys, { action: "echo" });
        const result = (await worker.result) as { environment: string[] };
        expect(result.environment).toEqual(["LANG", "TZ"]);
      } finally {
        for (const name of Object.keys(process.env)) {
          if (!(name in before)) Reflect.deleteProperty(process.env, name);
        }
      }
    },
    timeout,
  );

  test(
    "lets nothing load from outside the bundle",
    async () => {
      const { worker } = await start(bundle.directory, keys, { action: "escape" });
      const result = await worker.result;
      expect(Object.keys(result as object)).toHaveLength(6);
      expect(Object.values(result as object)).not.toContain("escaped");
    },
    timeout,
  );

  test(
    "maps no library but the bundle's and the system's; no core dumps; a /proc of its own",
    async () => {
      const { worker } = await start(bundle.directory, keys, { action: "maps" });
      const result = (await worker.result) as { maps: string; limits: string; processes: number };
      const files = new Set(result.maps.match(/\/\S+$/gm));
      for (const file of files)
        expect(file).toMatch(/^\/(?:usr\/)?lib(?:64)?\/|\/vivarium-worker-\d/);
      if (worker.isolation.coreDumps === "off") {
        expect(result.limits).toMatch(/Max core file size\s+0\s+0/);
      }
      if (worker.isolation.namespaces.includes("pid")) expect(result.processes).toBe(1);
    },
    timeout,
  );

  test.runIf(process.getuid?.() === 0)(
    "runs as another user that cannot change its files",
    async () => {
      const { worker } = await start(
        bundle.directory,
        keys,
        { action: "write-self" },
        {
          user: { uid: 65_534, gid: 65_534 },
        },
      );
      expect(worker.isolation.uid).toBe(65_534);
      expect(await worker.result).toEqual({ uid: 65_534, chmod: "EPERM", write: "EACCES" });
    },
    timeout,
  );
});

describe("lifecycle", () => {
  test(
    "stop drains: the signal fires, main's value is the result, the files are gone",
    async () => {
      const directory = freshDirectory();
      const { worker, next, events } = await start(
        bundle.directory,
        keys,
        { action: "wait" },
        {
          directory,
        },
      );
      await next("waiting");
      await worker.stop();
      expect(await worker.result).toBe("drained");
      expect(await worker.exited).toEqual({ code: 0, signal: null });
      expect(events.filter(({ kind }) => kind === "state")).toEqual(
        ["ready", "running", "draining", "exited"].map((state) => ({ kind: "state", state })),
      );
      expect(readdirSync(directory)).toEqual([]);
    },
    timeout,
  );

  test(
    "SIGTERM from outside drains too",
    async () => {
      const { worker, next } = await start(bundle.directory, keys, { action: "wait" });
      await next("waiting");
      process.kill(worker.pid, "SIGTERM");
      expect(await worker.result).toBe("drained");
    },
    timeout,
  );

  test(
    "a process that does not drain is killed after its grace",
    async () => {
      const { worker, next } = await start(
        bundle.directory,
        keys,
        { action: "hang" },
        { graceMs: 50 },
      );
      await next("hanging");
      await worker.stop();
      await expect(worker.result).rejects.toMatchObject({ code: "aborted" });
    },
    timeout,
  );

  test(
    "kill -9 is told at once, as killed, and leaves no files",
    async () => {
      const directory = freshDirectory();
      const { worker, next } = await start(
        bundle.directory,
        keys,
        { action: "hang" },
        { directory },
      );
      await next("hanging");
      process.kill(worker.pid, "SIGKILL");
      await expect(worker.result).rejects.toMatchObject({ domain: "workers", code: "killed" });
      await worker.exited;
      expect(readdirSync(directory)).toEqual([]);
    },
    timeout,
  );

  test(
    "SIGUSR1 opens no inspector",
    async () => {
      const { worker, next } = await start(bundle.directory, keys, { action: "inspector" });
      await next("ready for SIGUSR1");
      process.kill(worker.pid, "SIGUSR1");
      worker.send("sent");
      expect(await worker.result).toBe("no inspector");
    },
    timeout,
  );

  test(
    "errors keep class and code; foreign messages stay inside; an exit is an exit",
    async () => {
      const { worker: failing } = await start(bundle.directory, keys, { action: "fail" });
      await expect(failing.result).rejects.toMatchObject({
        domain: "workers",
        code: "quota-exceeded",
      });
      const { worker: secret } = await start(bundle.directory, keys, { action: "secret-failure" });
      const error = await secret.result.catch((caught: Error) => caught);
      expect(String(error)).not.toContain("row of the user");
      const { worker: exiting } = await start(bundle.directory, keys, { action: "exit" });
      await expect(exiting.result).rejects.toMatchObject({ code: "exited", exit: { code: 7 } });
    },
    timeout,
  );

  test(
    "output reaches the log by lines, without control characters; messages reach main",
    async () => {
      const { log, entries } = recordingLog();
      const { worker } = await start(bundle.directory, keys, { action: "output" }, { log });
      await worker.exited;
      const lines = entries
        .filter(({ event }) => event === "worker.stdout")
        .map(({ fields }) => fields["line"]);
      expect(lines).toEqual(["hello\ufffd[31m from inside", "second"]);
      expect(entries).toContainEqual({
        event: "fixture.logged",
        fields: { count: 3, role: "subject" },
      });
      const { worker: listener } = await start(bundle.directory, keys, { action: "messages" });
      listener.send({ hi: 1 });
      expect(await listener.result).toEqual({ hi: 1 });
    },
    timeout,
  );

  test(
    "cancelling the launch leaves nothing behind",
    async () => {
      const directory = freshDirectory();
      const controller = new AbortController();
      const launching = start(
        bundle.directory,
        keys,
        { action: "wait" },
        {
          directory,
          signal: controller.signal,
        },
      );
      setTimeout(() => controller.abort(), 20);
      await expect(launching).rejects.toMatchObject({ code: "aborted" });
      expect(readdirSync(directory)).toEqual([]);
    },
    timeout,
  );

  test(
    "the death of the launcher ends the process, busy as it is",
    async () => {
      const child = spawn(process.execPath, [fixture("parent.mjs"), bundle.directory], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const pid = await new Promise<number>((resolve) => {
        child.stdout.once("data", (chunk: Buffer) => resolve(Number(chunk.toString())));
      });
      expect(() => process.kill(pid, 0)).not.toThrow();
      child.kill("SIGKILL");
      await expect.poll(() => isGone(pid), { timeout: 20_000 }).toBe(true);
    },
    timeout,
  );
});

function isGone(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
