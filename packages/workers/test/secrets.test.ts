/** Sources of secrets: what is private stays so, outages are survived or named, never guessed around. */

import { createCipheriv, createDecipheriv, createHmac, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { utf8 } from "@vivarium/core";
import { memoryStore, openSealedFile, Secret, sealFile } from "@vivarium/seal";
import { describe, expect, onTestFinished, test } from "vitest";
import { fileSource } from "../src/secrets/file.ts";
import { vaultKvSource, vaultTransitWrapper } from "../src/secrets/vault.ts";

const code = (wanted: string) => expect.objectContaining({ code: wanted });
const unavailable = code("secret-unavailable");

describe("files", () => {
  function directory(): string {
    const path = mkdtempSync(join(tmpdir(), "vivarium-secrets-"));
    onTestFinished(() => rmSync(path, { recursive: true }));
    mkdirSync(join(path, "models/key"), { recursive: true });
    writeFileSync(join(path, "models/key/spam"), "canary", { mode: 0o600 });
    return path;
  }

  test("gives what only its owner can read", async () => {
    const path = directory();
    const source = fileSource({ directory: path });
    using secret = await source.get("models/key/spam");
    expect(Buffer.from(secret.reveal()).toString()).toBe("canary");
    for (const mode of [0o640, 0o604, 0o620]) {
      chmodSync(join(path, "models/key/spam"), mode);
      await expect(source.get("models/key/spam")).rejects.toThrow(unavailable);
    }
  });

  test("follows no links, leaves no directory, and names what is absent or empty", async () => {
    const path = directory();
    const source = fileSource({ directory: path });
    symlinkSync(join(path, "models/key/spam"), join(path, "link"));
    writeFileSync(join(path, "empty"), "", { mode: 0o600 });
    for (const name of ["link", "empty", "absent", "models"]) {
      await expect(source.get(name)).rejects.toThrow(unavailable);
    }
    for (const name of ["../x", "/etc/passwd", "a//b", "", ".", "a/../b"]) {
      await expect(source.get(name)).rejects.toThrow(code("invalid-argument"));
    }
    const signal = AbortSignal.abort();
    await expect(source.get("models/key/spam", { signal })).rejects.toThrow(code("aborted"));
  });
});

describe("Vault", () => {
  /** As the documented API answers: tokens, KV 2 and transit with derived keys; outages on demand. */
  async function vault() {
    const state = { token: "hvs.CANARY", outages: [] as (number | "hang up")[], requests: 0 };
    const master = randomBytes(32);
    const keyFor = (context: string) => createHmac("sha256", master).update(context).digest();
    const kv = new Map([["models/spam", Buffer.from("canary").toString("base64")]]);
    const answer = (status: number, body: object) => ({ status, body });
    const handle = (method: string, path: string, body: Record<string, string>) => {
      const data = /^\/v1\/secret\/data\/(.+)$/.exec(path)?.[1];
      if (method === "GET" && data !== undefined) {
        const value = kv.get(data);
        return value === undefined
          ? answer(404, { errors: [] })
          : answer(200, { data: { data: { value }, metadata: { version: 1 } } });
      }
      const { context = "", plaintext = "", ciphertext = "" } = body;
      if (path === "/v1/transit/encrypt/models") {
        const nonce = randomBytes(12);
        const cipher = createCipheriv("aes-256-gcm", keyFor(context), nonce);
        const sealed = Buffer.concat([cipher.update(plaintext, "base64"), cipher.final()]);
        const all = Buffer.concat([nonce, sealed, cipher.getAuthTag()]);
        return answer(200, { data: { ciphertext: `vault:v1:${all.toString("base64")}` } });
      }
      if (path === "/v1/transit/decrypt/models") {
        const all = Buffer.from(ciphertext.replace(/^vault:v1:/, ""), "base64");
        try {
          const open = createDecipheriv("aes-256-gcm", keyFor(context), all.subarray(0, 12));
          open.setAuthTag(all.subarray(-16));
          const text = Buffer.concat([open.update(all.subarray(12, -16)), open.final()]);
          return answer(200, { data: { plaintext: text.toString("base64") } });
        } catch {
          return answer(400, { errors: [`invalid ciphertext ${ciphertext}`] });
        }
      }
      return answer(404, { errors: [] });
    };
    const serve = async (request: IncomingMessage, response: ServerResponse) => {
      state.requests += 1;
      const outage = state.outages.shift();
      if (outage === "hang up") return void request.socket.destroy();
      let text = "";
      for await (const part of request) text += String(part);
      const refused = request.headers["x-vault-token"] !== state.token;
      const { status, body } =
        outage !== undefined
          ? answer(outage, { errors: ["out of order"] })
          : refused
            ? answer(403, { errors: ["permission denied"] })
            : handle(request.method ?? "", request.url ?? "", text === "" ? {} : JSON.parse(text));
      response.writeHead(status, { "Content-Type": "application/json" });
      response.end(JSON.stringify(body));
    };
    const server = createServer((request, response) => void serve(request, response));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    onTestFinished(() => void server.close().closeAllConnections());
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const waits: number[] = [];
    const options = {
      url,
      token: async () => new Secret(utf8("hvs.CANARY\n")),
      wait: async (ms: number) => void waits.push(ms),
    };
    return { state, options, waits };
  }

  test("gives a secret of KV 2, and over outages that pass", async () => {
    const { state, options, waits } = await vault();
    const source = vaultKvSource(options);
    using first = await source.get("models/spam");
    expect(Buffer.from(first.reveal()).toString()).toBe("canary");
    state.outages = [503, "hang up"];
    using second = await source.get("models/spam");
    expect(second.equals(first)).toBe(true);
    expect(waits).toEqual([200, 400]);
  });

  test("gives up in the end, does not insist on a refusal, and tells no token", async () => {
    const { state, options } = await vault();
    const source = vaultKvSource(options);
    state.outages = [503, 503, 503, 503];
    await expect(source.get("models/spam")).rejects.toThrow(/503: it is sealed/);
    expect(state.requests).toBe(3);
    state.outages = [];
    state.requests = 0;
    await expect(source.get("models/none")).rejects.toThrow(unavailable);
    expect(state.requests).toBe(1);
    state.token = "hvs.OTHER";
    const thrown = await source.get("models/spam").catch((error: unknown) => error);
    expect(thrown).toMatchObject({ code: "secret-unavailable" });
    expect(String(thrown)).not.toContain("CANARY");
    await expect(source.get("../x")).rejects.toThrow(code("invalid-argument"));
    const signal = AbortSignal.abort();
    await expect(source.get("models/spam", { signal })).rejects.toThrow(code("aborted"));
  });

  test("wraps keys of sealed files: bound to the file, and opened by no other key", async () => {
    const { state, options } = await vault();
    const wrapper = vaultTransitWrapper({ ...options, key: "models" });
    const as = { name: "model", version: 1, type: "x/y", wrapper };
    const [a, b] = [memoryStore(), memoryStore()];
    await sealFile(a, utf8("weights"), as);
    await sealFile(b, utf8("others"), as);
    await using file = await openSealedFile(a, { ...as, minimumVersion: 1 });
    expect(Buffer.from(await file.read(0, 7)).toString()).toBe("weights");
    const context = utf8("file 1");
    const wrapped = await wrapper.wrap(randomBytes(32), context);
    await expect(wrapper.unwrap(wrapped, utf8("file 2"))).rejects.toThrow(unavailable);
    state.outages = [500, 500, 500];
    await expect(wrapper.unwrap(wrapped, context)).rejects.toThrow(unavailable);
    expect(await wrapper.unwrap(wrapped, context)).toHaveLength(32);
  });

  test("a token does not cross a network in the clear", async () => {
    const { options } = await vault();
    for (const url of ["http://vault.example:8200", "ftp://127.0.0.1"]) {
      expect(() => vaultKvSource({ ...options, url })).toThrow(code("invalid-argument"));
    }
  });
});
