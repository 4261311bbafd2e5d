/** The store: what was acknowledged stays, what was set back is not served, nothing shows on disk. */
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInstanceAppraiser, InstanceEvidence, InstanceResult } from "@vivarium/attestation";
import { Secret, secretKeyWrapper } from "@vivarium/seal";
import { describe, expect, onTestFinished, test } from "vitest";
import { callAdmin, serveAdmin } from "../src/admin.ts";
import { sealedStateFile } from "../src/state-file.ts";
import {
  attesterOf,
  type Bench,
  bench,
  crypto,
  entries,
  face,
  policyFor,
  secretOf,
  start,
  verifiers,
} from "./kbs-support.ts";
import { copyOf } from "./memory-store.ts";

const code = (wanted: string) => expect.objectContaining({ code: wanted });

async function resource(on: Bench, name: string) {
  const policy = await policyFor(on);
  return { name, owner: "alice", policy, secret: secretOf("canary"), expiresAt: null };
}

describe("store", () => {
  test("survives restarts; a full disk loses no acknowledged change and makes none up", async () => {
    const on = await bench();
    const broker = await start(on);
    await broker.put(await resource(on, "a/b/1"));
    on.file.left = 0;
    await expect(broker.put(await resource(on, "a/b/2"))).rejects.toThrow(code("unavailable"));
    on.file.left = Number.POSITIVE_INFINITY;
    await broker.put(await resource(on, "a/b/3"));
    // The store is written, the log is not: nobody was told, and the next change makes up for it.
    on.log.left = 0;
    await expect(broker.put(await resource(on, "a/b/4"))).rejects.toThrow();
    on.log.left = Number.POSITIVE_INFINITY;
    await broker.put(await resource(on, "a/b/5"));
    const names = ["a/b/1", "a/b/3", "a/b/4", "a/b/5"];
    expect(broker.list().map(({ name }) => name)).toEqual(names);
    const again = await start(on);
    expect(again.list().map(({ name }) => name)).toEqual(names);
    expect((await entries(on)).map(({ fields }) => fields["action"] ?? "start")).toEqual([
      ...["start", "put", "put", "recovered", "put", "start"],
    ]);
  });

  test("a crash between store and log is made up for at the start", async () => {
    const on = await bench();
    const broker = await start(on);
    on.log.left = 0;
    await expect(broker.put(await resource(on, "a/b/c"))).rejects.toThrow();
    on.log.left = Number.POSITIVE_INFINITY;
    const again = await start(on);
    expect(again.list()).toHaveLength(1);
    expect((await entries(on)).map(({ event }) => event)).toEqual(["start", "change", "start"]);
  });

  test("yesterday's store under today's log, or the reverse, is not served", async () => {
    const on = await bench();
    const broker = await start(on);
    await broker.put(await resource(on, "a/b/1"));
    const [log, held] = [copyOf(on.log), on.file.held];
    await broker.put(await resource(on, "a/b/2"));
    await broker.put(await resource(on, "a/b/3"));
    const newest = on.file.held;
    on.file.held = held;
    await expect(start(on)).rejects.toThrow(code("rolled-back"));
    on.file.held = undefined;
    await expect(start(on)).rejects.toThrow(code("rolled-back"));
    on.file.held = newest;
    await expect(start({ ...on, log })).rejects.toThrow(code("rolled-back"));
    await start(on);
  });

  test("on disk it is sealed, private, and shows no secret; another key does not open it", async () => {
    const directory = mkdtempSync(join(tmpdir(), "vivarium-broker-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const path = join(directory, "store");
    const wrapper = secretKeyWrapper("root", new Secret(new Uint8Array(32).fill(1)));
    const on = await bench();
    const file = Object.assign(sealedStateFile(path, wrapper), { held: undefined, left: 0 });
    const broker = await start({ ...on, file });
    const made = await resource(on, "a/b/c");
    await broker.put(made);
    const bytes = readFileSync(path);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const text = Buffer.from(made.secret);
    for (const form of ["utf8", "base64url", "hex"] as const) {
      expect(bytes.includes(text.toString(form))).toBe(false);
    }
    for (const bytes of on.log.files.values())
      expect(Buffer.from(bytes).includes(text)).toBe(false);
    expect((await start({ ...on, file })).list()).toHaveLength(1);
    const other = secretKeyWrapper("root", new Secret(new Uint8Array(32).fill(2)));
    const wrong = Object.assign(sealedStateFile(path, other), { held: undefined, left: 0 });
    await expect(start({ ...on, file: wrong })).rejects.toThrow(code("wrong-key"));
  });

  test("bad names, owners, secrets and ends are refused; taken names stay", async () => {
    const on = await bench();
    const broker = await start(on);
    const good = await resource(on, "a/b/c");
    for (const bad of [
      { name: "a/b" },
      { name: "../b/c" },
      { name: "a//c" },
      { owner: "" },
      { owner: "a b" },
      { expiresAt: 1 },
    ]) {
      await expect(broker.put({ ...good, ...bad })).rejects.toThrow(code("invalid-argument"));
    }
    for (const secret of [new Uint8Array(0), new Uint8Array(262_145)]) {
      await expect(broker.put({ ...good, secret })).rejects.toThrow(code("limit-exceeded"));
    }
    const open = { ...good, policy: { ...good.policy, accept: [] } };
    await expect(broker.put(open)).rejects.toThrow(code("invalid-policy"));
    await broker.put(good);
    await expect(broker.put(good)).rejects.toThrow(code("exists"));
    await expect(broker.revoke("x/y/z")).rejects.toThrow(code("not-found"));
  });
});

describe("results of instances", () => {
  test("cannot be made by anybody, and a look-alike is no evidence", async () => {
    const on = await bench();
    const { accept } = (await policyFor(on)) as { accept: never };
    const appraiser = createInstanceAppraiser({ verifiers, crypto, clock: on.clock });
    const reportData = new Uint8Array(64).fill(7);
    const evidence = await attesterOf(on).collect(reportData);
    const input = { evidence, collateral: {}, reportData, keyDigest: new Uint8Array(32) };
    const verified = await appraiser.verify(input);
    const fake = Object.create(InstanceEvidence.prototype, {
      tee: { value: "snp" },
    }) as InstanceEvidence;
    await expect(appraiser.appraise(fake, accept)).rejects.toThrow(code("not-a-result"));
    await expect(appraiser.appraise({ ...verified } as never, accept)).rejects.toThrow();
    expect(() => new InstanceEvidence(Symbol("verifier"), {} as never, {} as never, 1)).toThrow();
    expect(() => new InstanceResult(Symbol("verifier"), {} as never)).toThrow();
    expect(() => InstanceResult.requireValid({}, on.clock)).toThrow(code("not-a-result"));
    const accepted = await appraiser.appraise(verified, accept);
    if (!accepted.accepted) throw new Error("refused");
    InstanceResult.requireValid(accepted.result, on.clock);
    on.clock.advance(60_000);
    expect(() => InstanceResult.requireValid(accepted.result, on.clock)).toThrow(code("expired"));
    const other = { ...input, reportData: new Uint8Array(64).fill(8) };
    await expect(appraiser.verify(other)).rejects.toThrow(code("not-genuine"));
    const short = { ...input, keyDigest: new Uint8Array(31) };
    await expect(appraiser.verify(short)).rejects.toThrow(code("malformed"));
  });

  test("a release to another key than the evidence's is refused by the broker itself", async () => {
    const on = await bench();
    const broker = await start(on);
    await broker.put(await resource(on, "a/b/c"));
    const appraiser = createInstanceAppraiser({ verifiers, crypto, clock: on.clock });
    const reportData = new Uint8Array(64).fill(7);
    const evidence = await appraiser.verify({
      evidence: await attesterOf(on).collect(reportData),
      collateral: {},
      reportData,
      keyDigest: new Uint8Array(32).fill(1),
    });
    let seen = 0;
    const release = (keyDigest: Uint8Array) =>
      broker.release({
        name: "a/b/c",
        evidence,
        keyDigest,
        wrap: async (secret) => {
          seen += secret.length;
        },
      });
    await expect(release(new Uint8Array(32).fill(2))).rejects.toThrow(code("refused"));
    expect(seen).toBe(0);
    await release(new Uint8Array(32).fill(1));
    expect(seen).toBeGreaterThan(0);
  });
});

describe("administration", () => {
  test("by a socket that only its owner can open, with the broker's own errors", async () => {
    const directory = mkdtempSync(join(tmpdir(), "vivarium-admin-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const path = join(directory, "admin.sock");
    const on = await bench();
    const broker = await start(on);
    const server = await serveAdmin(broker, path);
    onTestFinished(() => server.close());
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const made = await resource(on, "a/b/c");
    expect(await callAdmin(path, { do: "put", ...made })).toMatchObject({ number: 1 });
    const secret = secretOf("next");
    expect(await callAdmin(path, { do: "rotate", name: "a/b/c", secret })).toMatchObject({
      number: 2,
    });
    const http = await face(on, broker);
    expect(await http.get("a/b/c", attesterOf(on))).toEqual(secret);
    const { resources } = await callAdmin(path, { do: "list" });
    expect(JSON.stringify(resources)).not.toContain(Buffer.from(secret).toString("base64url"));
    await expect(callAdmin(path, { do: "revoke", name: "x/y/z" })).rejects.toThrow(
      code("not-found"),
    );
    await expect(callAdmin(path, { do: "wipe" } as never)).rejects.toThrow(code("malformed"));
    await expect(callAdmin(join(directory, "none"), { do: "list" })).rejects.toThrow(
      code("unavailable"),
    );
  });
});
