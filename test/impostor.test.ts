/** Peers that are not who or what the policy names, and a host that tries to switch checks off. */
import { createHash } from "node:crypto";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type PsiWorkerConfig, type PsiWorkerEvent, psiBundle } from "@vivarium/psi";
import { decodeManifest, encodeManifest } from "@vivarium/workers";
import { afterEach, beforeAll, expect, test, vi } from "vitest";
import {
  at,
  crypto,
  errorOf,
  filesIn,
  freshDirectory,
  makeWorld,
  measure,
  policyFor,
  type Role,
  type Started,
  start,
  type World,
} from "./support.ts";

let world: World;
const inputs = freshDirectory();

beforeAll(async () => {
  world = await makeWorld();
  for (const [role, from] of [["receiver", 0] as const, ["sender", 5] as const]) {
    const keys = Array.from({ length: 10 }, (_, i) => `item-${from + i}`);
    writeFileSync(join(inputs, `${role}.csv`), `key\n${keys.join("\n")}\n`);
  }
});
afterEach(() => vi.unstubAllEnvs());

function configFor(
  role: Role,
  directory: string,
  where: Pick<PsiWorkerConfig, "listen" | "connect">,
): PsiWorkerConfig {
  return {
    ...where,
    input: { path: join(inputs, `${role}.csv`), keys: [{ column: "key" }] },
    output: { path: join(directory, `${role}.csv`) },
    mode: "intersection",
    resultTo: "both",
    maxItems: 100,
    minItems: 1,
    timeoutMs: 30_000,
  };
}

/** The psi worker with one byte of a message changed, and a manifest that says so truthfully. */
function forgedBundle(): string {
  const directory = join(freshDirectory(), "bundle");
  cpSync(psiBundle(), directory, { recursive: true });
  const manifest = decodeManifest(new Uint8Array(readFileSync(join(directory, "manifest.json"))));
  const bytes = readFileSync(join(directory, manifest.main));
  const offset = bytes.indexOf("No acceptable peer within");
  expect(offset).toBeGreaterThan(0);
  bytes[offset] = (bytes[offset] as number) ^ 0x20;
  writeFileSync(join(directory, manifest.main), bytes);
  const sha256 = createHash("sha256").update(bytes).digest("hex");
  const files = manifest.files.map((file) =>
    file.path === manifest.main ? { ...file, sha256 } : file,
  );
  writeFileSync(join(directory, "manifest.json"), encodeManifest({ ...manifest, files }));
  return directory;
}

const failed = (event: PsiWorkerEvent): string[] =>
  event.type === "refused" ? event.findings.filter(({ ok }) => !ok).map(({ rule }) => rule) : [];

const refusals = (worker: Started) => worker.seen.filter(({ type }) => type === "refused");

/** Waits for the nth refusal. */
async function refusal(worker: Started, number: number): Promise<PsiWorkerEvent> {
  await worker.until(() => refusals(worker).length >= number);
  return refusals(worker)[number - 1] as PsiWorkerEvent;
}

test("impostors are turned away by the rule they break, and the right peer is served after them", async () => {
  const directory = freshDirectory();
  const stranger = await crypto.generateSigner("ES256");
  const strangersRoot = await crypto.generateSigner("ES256");
  await using victim = await start(
    world,
    "receiver",
    configFor("receiver", directory, at("listen", 0)),
  );
  const port = await victim.port();
  const mine = configFor("sender", directory, at("connect", port));
  const bundle = forgedBundle();
  expect((await measure(bundle)).code).not.toBe(world.measured.code);
  const attempts = [
    // Genuine identity and root, and a worker of their own making.
    { rule: /^measurement\.code$/, change: { bundle } },
    // The very code, run by somebody else.
    { rule: /identity/, change: { identity: stranger } },
    // Evidence of a development root that the policy does not name.
    {
      rule: /^root$/,
      change: { attestation: { kind: "simulated" as const, root: strangersRoot } },
    },
  ];
  for (const [i, { rule, change }] of attempts.entries()) {
    await using impostor = await start(world, "sender", mine, change);
    const [end] = await Promise.allSettled([impostor.summary()]);
    // It learns that it was refused, and not by which rule.
    expect(errorOf(end)).toMatchObject({ domain: "channel", code: "peer-refused" });
    expect(errorOf(end).message).not.toMatch(/measurement|identity|root|sha256/);
    const event = await refusal(victim, i + 1);
    expect(event).toMatchObject({ type: "refused", code: "refused" });
    expect(failed(event)).toHaveLength(1);
    expect(failed(event)[0]).toMatch(rule);
    expect(filesIn(directory)).toEqual([]);
  }
  expect(victim.seen.map(({ type }) => type)).not.toContain("attested");
  expect(victim.state).toBe("running");

  await using right = await start(world, "sender", mine);
  const [r, s] = await Promise.all([victim.summary(), right.summary()]);
  expect([r.matches, s.matches]).toEqual([5, 5]);
  expect(refusals(victim)).toHaveLength(attempts.length);
});

test("the environment of the launcher weakens nothing, and reaches no worker", async () => {
  const directory = freshDirectory();
  const marker = join(directory, "loaded");
  const preload = join(directory, "preload.cjs");
  writeFileSync(preload, `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "x");\n`);
  const hostile = {
    NODE_OPTIONS: `--require ${preload} --inspect=0`,
    NODE_TLS_REJECT_UNAUTHORIZED: "0",
    NODE_EXTRA_CA_CERTS: preload,
    NODE_PATH: directory,
    LD_PRELOAD: preload,
    LD_LIBRARY_PATH: directory,
    OPENSSL_CONF: preload,
    SSLKEYLOGFILE: join(directory, "keys.log"),
    VIVARIUM_POLICY: "accept-all",
    VIVARIUM_ATTESTATION: "off",
    VIVARIUM_SKIP_VERIFY: "1",
    VIVARIUM_INSECURE: "1",
    VIVARIUM_DEBUG: "1",
    DUMMY: "1",
  };
  for (const [name, value] of Object.entries(hostile)) vi.stubEnv(name, value);
  await using victim = await start(
    world,
    "receiver",
    configFor("receiver", directory, at("listen", 0)),
  );
  await using impostor = await start(
    world,
    "sender",
    configFor("sender", directory, at("connect", await victim.port())),
    { identity: await crypto.generateSigner("ES256") },
  );
  const [end] = await Promise.allSettled([impostor.summary()]);
  expect(errorOf(end)).toMatchObject({ code: "peer-refused" });
  expect(failed(await refusal(victim, 1))[0]).toMatch(/identity/);
  expect(victim.seen.map(({ type }) => type)).not.toContain("attested");
  // What the kernel says the process was started with.
  const environment = readFileSync(`/proc/${victim.pid}/environ`, "latin1").split("\0");
  const names = environment.filter((line) => line !== "").map((line) => line.split("=")[0]);
  expect(names.sort()).toEqual(["LANG", "TZ"]);
  const maps = readFileSync(`/proc/${victim.pid}/maps`, "latin1");
  expect(maps).not.toContain(directory);
  expect(filesIn(directory)).toEqual(["preload.cjs"]);
});

test("a policy that would accept more than it names is not launched with", async () => {
  const config = configFor("receiver", inputs, at("listen", 0));
  const good = await policyFor(world, "sender");
  const [record] = good.roles["sender"]?.accept ?? [];
  const broken = [
    { identities: [] },
    { accept: [] },
    { accept: [{ ...record, measurements: {} }] },
    { accept: [{ ...record, measurements: { code: [] } }] },
    { accept: [{ ...record, measurements: { code: [""] } }] },
    { accept: [{ ...record, debug: true }] },
    { accept: [{ ...record, verify: false }] },
  ];
  for (const change of broken) {
    const policy = { ...good, roles: { sender: { ...good.roles["sender"], ...change } } };
    const launched = start(world, "receiver", config, { policy: policy as typeof good });
    await expect(launched, JSON.stringify(change)).rejects.toMatchObject({
      domain: "attestation",
      code: "invalid-policy",
    });
  }
});
