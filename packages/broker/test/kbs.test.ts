/** Key release: only to the key in fresh, accepted evidence, and only after the log has it. */
import { createHash } from "node:crypto";
import { encodeEvidence } from "@vivarium/attestation";
import { toBase64Url } from "@vivarium/core";
import fc from "fast-check";
import {
  exportJWK,
  type FlattenedJWE,
  flattenedDecrypt,
  type GenerateKeyPairResult,
  generateKeyPair,
} from "jose";
import { describe, expect, test } from "vitest";
import { canonicalJson } from "../src/kbs/json.ts";
import { kbsLimits } from "../src/kbs/server.ts";
import {
  attesterOf,
  type Bench,
  bench,
  entries,
  type Face,
  face,
  measured,
  policyFor,
  type Reply,
  secretOf,
  start,
} from "./kbs-support.ts";

const name = "models/key/spam";
const code = (wanted: string) => expect.objectContaining({ code: wanted });
const failed = expect.objectContaining({ domain: "workers", code: "secret-unavailable" });

async function served(policy?: object) {
  const on = await bench();
  const broker = await start(on);
  const secret = secretOf("canary-secret");
  await broker.put({
    name,
    owner: "alice",
    policy: policy ?? (await policyFor(on)),
    secret,
    expiresAt: null,
  });
  return { on, broker, secret, http: await face(on, broker) };
}

/** The steps of RCAR one by one, so that each can be done wrong. */
class Instance {
  readonly #on: Bench;
  readonly #http: Face;
  readonly #algorithm: string;
  keys: GenerateKeyPairResult | undefined;
  cookie = "";
  nonce = "";

  constructor(on: Bench, http: Face, algorithm = "ECDH-ES+A256KW") {
    this.#on = on;
    this.#http = http;
    this.#algorithm = algorithm;
  }

  async challenge(): Promise<this> {
    const body = { version: "0.4.0", tee: "simulated", "extra-params": "" };
    const reply = await this.#http.ask("POST", "/auth", { body });
    this.nonce = reply.json()["nonce"] as string;
    this.cookie = reply.cookie as string;
    this.keys = await generateKeyPair(this.#algorithm, { extractable: true });
    return this;
  }

  async runtime(): Promise<Record<string, unknown>> {
    const jwk = await exportJWK((this.keys as GenerateKeyPairResult).publicKey);
    return { nonce: this.nonce, "tee-pubkey": { ...jwk, alg: this.#algorithm } };
  }

  async message(change: object = {}, signed?: object): Promise<object> {
    const runtime = await this.runtime();
    const reportData = new Uint8Array(64);
    const hashed = canonicalJson(signed ?? runtime);
    reportData.set(createHash("sha384").update(hashed).digest());
    const evidence = await attesterOf(this.#on).collect(reportData);
    const primary = { vivarium: toBase64Url(encodeEvidence(evidence)) };
    return {
      "runtime-data": runtime,
      "tee-evidence": { primary_evidence: primary, additional_evidence: "{}" },
      ...change,
    };
  }

  attest(body: object, cookie = this.cookie): Promise<Reply> {
    return this.#http.ask("POST", "/attest", { body, cookie });
  }

  resource(options: { cookie?: string; token?: string } = { cookie: this.cookie }) {
    return this.#http.ask("GET", `/resource/${name}`, options);
  }

  async open(reply: Reply): Promise<Uint8Array> {
    const { privateKey } = this.keys as GenerateKeyPairResult;
    const jwe = reply.json() as unknown as FlattenedJWE;
    return (await flattenedDecrypt(jwe, privateKey)).plaintext;
  }
}

describe("release", () => {
  test("an accepted instance gets the secret, and the log says to which key under which evidence", async () => {
    const { on, broker, secret, http } = await served();
    expect(await http.get(name, attesterOf(on))).toEqual(secret);
    const all = await entries(on);
    expect(all.map(({ event }) => event)).toEqual(["start", "change", "release"]);
    expect(all[2]?.fields).toMatchObject({
      resource: name,
      number: 1,
      identity: "any-instance",
      tee: "simulated",
      isolation: "simulated",
      key: expect.stringMatching(/^[0-9a-f]{64}$/),
      evidence: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
    const next = secretOf("second");
    expect(await broker.rotate(name, next)).toMatchObject({ number: 2 });
    expect(await http.get(name, attesterOf(on))).toEqual(next);
  });

  test("another measurement is refused, and the log says rule, expected and actual", async () => {
    const { on, http } = await served();
    const other = attesterOf(on, { code: new Uint8Array(32).fill(9) });
    await expect(http.get(name, other)).rejects.toThrow(failed);
    const last = (await entries(on)).at(-1);
    expect(last?.event).toBe("refusal");
    expect(last?.fields["findings"]).toEqual([
      expect.stringMatching(/^measurement\.code: expected (01)+, actual (09)+$/),
    ]);
    expect(http.events.at(-1)).toBe("broker.refused");
  });

  test("simulated and bare TPM evidence: refused unless the owner lists that isolation", async () => {
    const on = await bench();
    const broker = await start(on);
    const put = async (policy: object) =>
      broker.put({ name, owner: "alice", policy, secret: secretOf("x"), expiresAt: null });
    const policy = await policyFor(on);
    await expect(put({ ...policy, isolation: ["tee"] })).rejects.toThrow(code("invalid-argument"));
    const tpm = await policyFor(on, {
      type: "tpm",
      isolation: "none",
      measurements: { pcr04: ["01".repeat(32)] },
    });
    await expect(put({ ...tpm, isolation: ["tee"] })).rejects.toThrow(code("invalid-argument"));
    await expect(put({ ...tpm, isolation: [] })).rejects.toThrow(code("invalid-argument"));
    for (const missing of ["identity", "isolation", "accept"]) {
      const { [missing]: _, ...rest } = policy as Record<string, unknown>;
      await expect(put(rest)).rejects.toThrow(code("invalid-argument"));
    }
    await expect(put({ ...policy, identity: "*" })).rejects.toThrow(code("invalid-argument"));
    // A resource for TPMs does not open to simulated evidence: stopped before any record is read.
    await put({ ...tpm, isolation: ["none"] });
    const http = await face(on, broker);
    await expect(http.get(name, attesterOf(on))).rejects.toThrow(failed);
    expect((await entries(on)).at(-1)?.fields["findings"]).toEqual([
      "resource.isolation: expected none, actual simulated",
    ]);
  });

  test("no audit, no release: with the log's disk full nobody gets anything", async () => {
    const { on, secret, http } = await served();
    on.log.left = 0;
    const instance = await new Instance(on, http).challenge();
    expect((await instance.attest(await instance.message())).status).toBe(200);
    const reply = await instance.resource();
    expect(reply.status).toBe(503);
    expect(reply.json()["ciphertext"]).toBeUndefined();
    on.log.left = Number.POSITIVE_INFINITY;
    expect(await instance.open(await instance.resource())).toEqual(secret);
    expect((await entries(on)).filter(({ event }) => event === "release")).toHaveLength(1);
  });

  test("ends with the resource, with the age of the evidence, and with revocation", async () => {
    const on = await bench();
    const broker = await start(on);
    const policy = await policyFor(on);
    const expiresAt = on.clock.now() + 120_000;
    await broker.put({ name, owner: "alice", policy, secret: secretOf("x"), expiresAt });
    const http = await face(on, broker);
    const instance = await new Instance(on, http).challenge();
    await instance.attest(await instance.message());
    expect((await instance.resource()).status).toBe(200);
    on.clock.advance(61_000);
    expect((await instance.resource()).status).toBe(403);
    expect((await entries(on)).at(-1)?.fields["findings"]).toEqual(
      expect.arrayContaining([expect.stringMatching(/^age\./)]),
    );
    on.clock.advance(60_000);
    await expect(http.get(name, attesterOf(on))).rejects.toThrow(failed);
    expect((await entries(on)).at(-1)?.fields["findings"]).toEqual([
      expect.stringMatching(/^resource\.expires/),
    ]);
    const secret = secretOf("y");
    const forgotten = Buffer.from(secret).toString("base64url");
    await broker.put({ name: "a/b/c", owner: "alice", policy, secret, expiresAt: null });
    expect((await http.get("a/b/c", attesterOf(on))).length).toBeGreaterThan(1);
    expect(await broker.revoke("a/b/c")).toMatchObject({ revoked: true });
    await expect(http.get("a/b/c", attesterOf(on))).rejects.toThrow(failed);
    await expect(broker.rotate("a/b/c", secretOf("z"))).rejects.toThrow(code("refused"));
    const held = Buffer.from(on.file.held?.bytes ?? []).toString();
    expect(held).not.toContain(forgotten);
  });
});

describe("replay and substitution", () => {
  test("a challenge is answered once", async () => {
    const { on, http } = await served();
    const instance = await new Instance(on, http).challenge();
    const message = await instance.message();
    expect((await instance.attest(message)).status).toBe(200);
    expect((await instance.attest(message)).status).toBe(401);
    const wrong = await new Instance(on, http).challenge();
    expect((await wrong.attest({ ...message })).status).toBe(401);
    // Also after a failed answer: guessing has one try.
    expect((await wrong.attest(await wrong.message())).status).toBe(401);
    expect((await wrong.resource()).status).toBe(401);
  });

  test("evidence of another session, with its nonce put in, is refused", async () => {
    const { on, http } = await served();
    const first = await new Instance(on, http).challenge();
    const captured = (await first.message()) as Record<string, unknown>;
    const thief = await new Instance(on, http).challenge();
    // Their evidence, our nonce and our key.
    const mixed = { ...captured, "runtime-data": await thief.runtime() };
    expect((await thief.attest(mixed)).status).toBe(401);
    expect((await thief.resource()).status).toBe(401);
  });

  test("evidence for one key does not get the secret for another", async () => {
    const { on, http } = await served();
    const honest = await new Instance(on, http).challenge();
    const runtime = await honest.runtime();
    const thief = await generateKeyPair("ECDH-ES+A256KW", { extractable: true });
    const jwk = { ...(await exportJWK(thief.publicKey)), alg: "ECDH-ES+A256KW" };
    const swapped = { nonce: honest.nonce, "tee-pubkey": jwk };
    const message = await honest.message({ "runtime-data": swapped }, runtime);
    expect((await honest.attest(message)).status).toBe(401);
    expect(http.events.at(-1)).toBe("broker.attestation-refused not-genuine");
  });

  test("what is released opens with the instance's key alone", async () => {
    const { on, secret, http } = await served();
    const [one, two] = [
      await new Instance(on, http).challenge(),
      await new Instance(on, http).challenge(),
    ];
    await one.attest(await one.message());
    const reply = await one.resource();
    expect(await one.open(reply)).toEqual(secret);
    await expect(two.open(reply)).rejects.toThrow();
    expect(reply.text).not.toContain(Buffer.from(secret).toString("base64url").slice(0, 16));
  });

  test("a session or token that is unknown, another's, altered or over gives nothing", async () => {
    const { on, secret, http } = await served();
    const instance = await new Instance(on, http).challenge();
    const { token } = (await instance.attest(await instance.message())).json() as {
      token: string;
    };
    expect(await instance.open(await instance.resource({ token }))).toEqual(secret);
    const [header, payload, signature = ""] = token.split(".");
    const flipped = `${signature.startsWith("A") ? "B" : "A"}${signature.slice(1)}`;
    for (const bad of [
      {},
      { cookie: "kbs-session-id=00" },
      { cookie: `${instance.cookie}; ${instance.cookie}` },
      { token: `${header}.${payload}.${flipped}` },
      { token: `${header}.${payload}` },
      { token: `${Buffer.from('{"alg":"none"}').toString("base64url")}.${payload}.` },
    ]) {
      expect((await instance.resource(bad)).status).toBe(401);
    }
    const elsewhere = await served();
    const other = await elsewhere.http.ask("GET", `/resource/${name}`, { token });
    expect(other.status).toBe(401);
    on.clock.advance(5 * 60_000);
    expect((await instance.resource()).status).toBe(401);
    expect((await instance.resource({ token })).status).toBe(401);
  });

  test("a client sends nothing to a broker whose key is not the pinned one", async () => {
    const { on, secret, http } = await served();
    const rogue = await served();
    const { kbsSource } = await import("@vivarium/workers/secrets");
    const source = kbsSource({ url: rogue.http.url, pin: http.pin, attester: attesterOf(on) });
    await expect(source.get(name)).rejects.toThrow(failed);
    expect(rogue.http.events).toEqual([]);
    expect(await entries(rogue.on)).toHaveLength(2);
    expect(await http.get(name, attesterOf(on))).toEqual(secret);
    expect(() => kbsSource({ url: http.url, pin: "sha256:00", attester: attesterOf(on) })).toThrow(
      code("invalid-argument"),
    );
  });
});

describe("protocol", () => {
  test("RSA-OAEP keys work; PKCS #1 v1.5, weak and malformed keys do not", async () => {
    const { on, secret, http } = await served();
    const rsa = await new Instance(on, http, "RSA-OAEP-256").challenge();
    expect((await rsa.attest(await rsa.message())).status).toBe(200);
    expect(await rsa.open(await rsa.resource())).toEqual(secret);
    const jwk = (await rsa.runtime())["tee-pubkey"] as Record<string, string>;
    for (const change of [
      { ...jwk, alg: "RSA1_5" },
      { ...jwk, n: (jwk["n"] as string).slice(0, 170) },
      { ...jwk, d: "AQAB" },
      { kty: "oct", k: "AA", alg: "A256KW" },
      { kty: "EC", crv: "P-256", alg: "ECDH-ES+A256KW", x: "AA", y: "AA" },
      "key",
    ]) {
      const instance = await new Instance(on, http).challenge();
      const runtime = { nonce: instance.nonce, "tee-pubkey": change };
      const message = await instance.message({ "runtime-data": runtime }, runtime as object);
      expect((await instance.attest(message)).status).toBe(401);
    }
  });

  test("what would not be verified is not taken: init-data, more evidence, sample", async () => {
    const { on, http } = await served();
    for (const change of [
      { "init-data": { format: "toml", body: "x" } },
      { "tee-evidence": { primary_evidence: {}, additional_evidence: '{"gpu":1}' } },
      { "tee-evidence": { primary_evidence: { vivarium: "!" } } },
      { "tee-evidence": null },
      { "runtime-data": {} },
    ]) {
      const instance = await new Instance(on, http).challenge();
      expect((await instance.attest(await instance.message(change))).status).toBe(401);
    }
    for (const body of [
      { version: "0.4.0", tee: "sample" },
      { version: "9.0.0", tee: "tdx" },
      { tee: "tdx" },
      "[]",
      `${"[".repeat(100_000)}`,
    ]) {
      expect([401, 413]).toContain((await http.ask("POST", "/auth", { body })).status);
    }
  });

  test("property: hostile bytes never stop the service", async () => {
    const { on, secret, http } = await served();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("/auth", "/attest", "/resource/a/b/c", "/resource/../x", "/x"),
        fc.constantFrom("POST", "GET", "PUT"),
        fc.oneof(
          fc.uint8Array({ maxLength: 200 }),
          fc.json().map((text) => Buffer.from(text)),
        ),
        async (path, method, bytes) => {
          const reply = await http.ask(method, path, method === "GET" ? {} : { body: bytes });
          expect([401, 404, 413, 429]).toContain(reply.status);
        },
      ),
      { numRuns: 60 },
    );
    const big = new Uint8Array(kbsLimits.maxBodyBytes + 1);
    const refused = await http.ask("POST", "/auth", { body: big }).then(
      ({ status }) => status,
      () => 413,
    );
    expect(refused).toBe(413);
    expect(await http.get(name, attesterOf(on))).toEqual(secret);
  });

  test("one address gets so many challenges a minute", async () => {
    const { on, secret, http } = await served();
    const body = { version: "0.1.1", tee: "simulated", "extra-params": "" };
    const statuses: number[] = [];
    for (let i = 0; i <= kbsLimits.challengesPerMinute; i++) {
      statuses.push((await http.ask("POST", "/auth", { body })).status);
    }
    expect(statuses.at(-2)).toBe(200);
    expect(statuses.at(-1)).toBe(429);
    on.clock.advance(60_001);
    expect(await http.get(name, attesterOf(on))).toEqual(secret);
  });

  test("names that do not exist are not told from names that are none", async () => {
    const { on, http } = await served();
    const instance = await new Instance(on, http).challenge();
    await instance.attest(await instance.message());
    for (const path of [
      "/resource/a/b/c",
      "/resource/a",
      "/resource/a/b/c/d",
      "/resource/%2e/b/c",
    ]) {
      expect((await http.ask("GET", path, { cookie: instance.cookie })).status).toBe(404);
    }
    expect(measured.code.length).toBe(32);
  });
});
