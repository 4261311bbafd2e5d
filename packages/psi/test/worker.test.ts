import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fingerprint, type Policy } from "@vivarium/attestation";
import { type Encodable, type Signer, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import {
  type PsiWorkerConfig,
  type PsiWorkerEvent,
  type PsiWorkerSummary,
  psiBundle,
  psiErrorClass,
} from "@vivarium/psi";
import { commit, verifyReceipt } from "@vivarium/seal";
import { launch, type Worker } from "@vivarium/workers";
import { afterAll, beforeAll, expect, test } from "vitest";

const crypto = nodeCrypto();
let directory = "";
let keys: { root: Signer; receiver: Signer; sender: Signer };
/** Relaxations in the policies of both sides. */
let allow: readonly string[] | undefined;
let measured: { code: string; runtime: string };

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "vivarium-psi-"));
  const fresh = (): Promise<Signer> => crypto.generateSigner("ES256");
  keys = { root: await fresh(), receiver: await fresh(), sender: await fresh() };
  await writeFile(
    join(directory, "r.csv"),
    "mail,n\nA@x.org ,1\nb@x.org,2\n,3\na@x.org,4\nc@x.org,5\n",
  );
  await writeFile(join(directory, "s.csv"), "id,address\n7,d@x.org\n8,a@X.org\n9,c@x.org\n");
  // Measurements are what an operator would read off: from a launch.
  await using probe = await start("receiver", config("receiver", { connect: 1 }), "00".repeat(32));
  probe.result.catch(() => undefined);
  measured = { code: toHex(probe.statement.code), runtime: toHex(probe.statement.runtime) };
}, 60_000);
afterAll(() => rm(directory, { recursive: true, force: true }));

type Role = "receiver" | "sender";

function config(
  role: Role,
  at: { listen?: number; connect?: number },
  more: Partial<PsiWorkerConfig> = {},
): PsiWorkerConfig {
  const receiver = role === "receiver";
  const normalise = ["trim", "lower"];
  return {
    ...(at.listen === undefined ? {} : { listen: { host: "127.0.0.1", port: at.listen } }),
    ...(at.connect === undefined ? {} : { connect: { host: "127.0.0.1", port: at.connect } }),
    input: {
      path: join(directory, receiver ? "r.csv" : "s.csv"),
      keys: [{ column: receiver ? "mail" : "address", as: "mail", normalise }],
    },
    output: { path: join(directory, `${role}.out.csv`) },
    mode: "intersection",
    resultTo: "both",
    maxItems: 1000,
    minItems: 1,
    timeoutMs: 20_000,
    ...more,
  };
}

async function policyFor(peer: Role, code: string): Promise<Policy> {
  return {
    version: 1,
    name: "test",
    roles: {
      [peer]: {
        identities: [await fingerprint(crypto, keys[peer].publicKey)],
        accept: [
          {
            type: "simulated",
            isolation: "simulated",
            binding: "session",
            root: await fingerprint(crypto, keys.root.publicKey),
            measurements: { code: [code], runtime: [measured?.runtime ?? code] },
            minimumSvn: { svn: 1 },
            tcb: ["UpToDate"],
            ...(allow === undefined ? {} : { allow }),
            debug: false,
            maxAgeSeconds: 300,
          },
        ],
      },
    },
  };
}

interface Started extends Worker {
  readonly seen: PsiWorkerEvent[];
}

async function start(role: Role, own: PsiWorkerConfig, code = measured.code): Promise<Started> {
  const seen: PsiWorkerEvent[] = [];
  const worker = await launch({
    bundle: psiBundle(),
    role,
    workload: "psi",
    policy: await policyFor(role === "receiver" ? "sender" : "receiver", code),
    config: own as unknown as Encodable,
    identity: keys[role],
    attestation: { kind: "simulated", root: keys.root },
    errorClasses: [psiErrorClass],
    onEvent: (event) => {
      if (event.kind === "event") seen.push(event.value as unknown as PsiWorkerEvent);
    },
  });
  return Object.assign(worker, { seen });
}

/** The port of a listening worker, once it says so. */
async function portOf(worker: Started): Promise<number> {
  for (;;) {
    const waiting = worker.seen.find((event) => event.type === "waiting");
    if (waiting?.type === "waiting") return Number(waiting.address.split(":").at(-1));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function run(
  receiver: Partial<PsiWorkerConfig> = {},
  sender: Partial<PsiWorkerConfig> = {},
  code?: string,
): Promise<
  [PromiseSettledResult<PsiWorkerSummary>, PromiseSettledResult<PsiWorkerSummary>, Started]
> {
  await using first = await start("receiver", config("receiver", { listen: 0 }, receiver), code);
  const port = await portOf(first);
  await using second = await start("sender", config("sender", { connect: port }, sender));
  const summary = (worker: Worker): Promise<PsiWorkerSummary> =>
    worker.result.then((value) => value as unknown as PsiWorkerSummary);
  const [r, s] = await Promise.allSettled([summary(first), summary(second)]);
  return [r, s, first];
}

function outputs(): Promise<string[]> {
  return readdir(directory).then((names) => names.filter((name) => name.includes(".out.")));
}

test("two launched trust domains find the common rows, write them and sign receipts", async () => {
  const [r, s, worker] = await run();
  if (r.status === "rejected") throw r.reason;
  if (s.status === "rejected") throw s.reason;
  expect(r.value).toMatchObject({
    matches: 2,
    rows: 5,
    keys: 4,
    missing: 1,
    items: 3,
    peerItems: 3,
  });
  expect(s.value).toMatchObject({ matches: 2, rows: 3, keys: 3, missing: 0, rowsWritten: 2 });
  expect(await readFile(join(directory, "receiver.out.csv"), "utf8")).toBe(
    "row_number,mail,n\n0,A@x.org ,1\n3,a@x.org,4\n4,c@x.org,5\n",
  );
  expect(await readFile(join(directory, "sender.out.csv"), "utf8")).toContain("8,a@X.org");
  expect(worker.seen.map((event) => event.type)).toContain("progress");
  expect(r.value.peer).toMatchObject({ tee: "simulated", isolation: "simulated", role: "sender" });
  expect(r.value.peer.findings.every((finding) => finding.ok)).toBe(true);

  const identity = await fingerprint(crypto, keys.receiver.publicKey);
  const receipt = await verifyReceipt(r.value.receipt, { crypto, identities: [identity] });
  const other = await verifyReceipt(s.value.receipt, { crypto, identities: "any" });
  const body = receipt.body as Record<string, unknown>;
  expect(body).toMatchObject({ matches: 2, items: 3, peerItems: 3, mode: "intersection" });
  expect(body["transcript"]).toBe((other.body as Record<string, unknown>)["transcript"]);
  expect(receipt.commitments["input"]).toHaveLength(32);
  expect(receipt.commitments["input"]).not.toEqual(
    await commit(crypto, new Uint8Array(32), r.value.inputSalt),
  );
  await Promise.all((await outputs()).map((name) => rm(join(directory, name))));
}, 60_000);

test("configurations that differ end both sides before any item, with the field named", async () => {
  const [r, s] = await run({}, { mode: "cardinality" });
  for (const side of [r, s]) {
    if (side.status === "fulfilled") throw new Error("must fail");
    expect(side.reason).toMatchObject({ domain: "psi", code: "config-mismatch" });
    expect((side.reason as Error).message).toMatch(/"mode": "/);
  }
  expect(await outputs()).toEqual([]);
}, 60_000);

test("protocol attested needs the policy's word, and says what it trusts", async () => {
  const attested = { protocol: "attested" } as const;
  await using alone = await start("receiver", config("receiver", { listen: 0 }, attested));
  await expect(alone.result).rejects.toMatchObject({ domain: "psi", code: "not-allowed" });
  expect(alone.seen).toEqual([]);
  expect(await outputs()).toEqual([]);
  allow = ["psi.attested"];
  try {
    const [r, s] = await run(attested, attested);
    if (r.status === "rejected") throw r.reason;
    if (s.status === "rejected") throw s.reason;
    expect(r.value).toMatchObject({ protocol: "attested", matches: 2, rowsWritten: 3 });
    expect(s.value).toMatchObject({ protocol: "attested", matches: 2, rowsWritten: 2 });
    const receipt = await verifyReceipt(r.value.receipt, { crypto, identities: "any" });
    expect(receipt.body).toMatchObject({ variant: "attested", trusts: "the peer's TEE" });
  } finally {
    allow = undefined;
    await Promise.all((await outputs()).map((name) => rm(join(directory, name))));
  }
}, 60_000);

test("labels of the sender come to the receiver's rows, and sums to nobody's", async () => {
  await writeFile(
    join(directory, "s2.csv"),
    'address,vendor,amount\nd@x.org,D,1\na@x.org,"A, ""Inc""",2.50\nc@x.org,,-0.25\nc@x.org,second,1\n',
  );
  const input = {
    path: join(directory, "s2.csv"),
    keys: [{ column: "address", as: "mail", normalise: ["trim", "lower"] }],
  };
  const labels = { columns: ["vendor", "amount"], maxBytes: 60 };
  const agreed = { mode: "labels", resultTo: "receiver", labels } as const;
  const [r, s] = await run(agreed, { ...agreed, input });
  if (r.status === "rejected") throw r.reason;
  if (s.status === "rejected") throw s.reason;
  expect(r.value).toMatchObject({ mode: "labels", matches: 2, rowsWritten: 3 });
  expect(s.value).toMatchObject({ matches: null, rowsWritten: null });
  expect(await readFile(join(directory, "receiver.out.csv"), "utf8")).toBe(
    'row_number,mail,n,vendor,amount\n0,A@x.org ,1,"A, ""Inc""",2.50\n3,a@x.org,4,"A, ""Inc""",2.50\n4,c@x.org,5,,-0.25\n',
  );
  await Promise.all((await outputs()).map((name) => rm(join(directory, name))));
  // Every row, those of the receiver that match with the sender's columns: a left join.
  const everything = { output: { path: join(directory, "all.out.csv"), rows: "all" } } as const;
  const [left] = await run({ ...agreed, ...everything }, { ...agreed, input });
  expect(left).toMatchObject({ value: { matches: 2, rowsWritten: 5 } });
  expect(await readFile(join(directory, "all.out.csv"), "utf8")).toBe(
    'row_number,mail,n,matched,vendor,amount\n0,A@x.org ,1,1,"A, ""Inc""",2.50\n1,b@x.org,2,0,,\n2,,3,0,,\n3,a@x.org,4,1,"A, ""Inc""",2.50\n4,c@x.org,5,1,,-0.25\n',
  );
  const rest = { output: { path: join(directory, "rest.out.csv"), rows: "unmatched" } } as const;
  const plain = { mode: "intersection", resultTo: "receiver" } as const;
  const [anti] = await run({ ...plain, ...rest }, { ...plain, input });
  expect(anti).toMatchObject({ value: { matches: 2, rowsWritten: 2 } });
  expect(await readFile(join(directory, "rest.out.csv"), "utf8")).toBe(
    "row_number,mail,n\n1,b@x.org,2\n2,,3\n",
  );
  await Promise.all((await outputs()).map((name) => rm(join(directory, name))));

  allow = ["psi.attested"];
  try {
    const sum = { column: "amount", decimals: 2, minMatches: 2 };
    const summed = { mode: "sum", resultTo: "receiver", sum } as const;
    const [total, sender] = await run(summed, { ...summed, input });
    if (total.status === "rejected") throw total.reason;
    expect(total.value).toMatchObject({
      matches: 2,
      rowsWritten: null,
      statistics: { column: "amount", values: 3, sum: "3.25" },
    });
    expect(total.value.statistics?.mean).toBeCloseTo(3.25 / 3);
    const deviation = Math.sqrt((2.5 ** 2 + 0.25 ** 2 + 1) / 3 - (3.25 / 3) ** 2);
    expect(total.value.statistics?.standardDeviation).toBeCloseTo(deviation);
    expect(sender).toMatchObject({ value: { statistics: null, matches: null } });
    const receipt = await verifyReceipt(total.value.receipt, { crypto, identities: "any" });
    expect(receipt.body).toMatchObject({ mode: "sum", sum: "3.25", trusts: "the receiver's TEE" });
    expect(await outputs()).toEqual([]);
  } finally {
    allow = undefined;
  }
}, 60_000);

test("any of several identifiers in common is enough, and the first of them gives the label", async () => {
  await writeFile(
    join(directory, "r3.csv"),
    "mail,phone\na@x.org,+4930111\n,+4930222222\nc@x.org,+4930333333\nnone@x.org,+4930444444\n",
  );
  // c's e-mail and telephone stand in different rows of the sender; a's telephone in none.
  await writeFile(
    join(directory, "s3.csv"),
    "e,p,id\na@x.org,+4930999999,s0\nb@x.org,+4930222222,s1\nz@x.org,+4930333333,s2\nc@x.org,,s3\n",
  );
  const identifiers = (mail: string, phone: string) =>
    ({
      match: "any",
      keys: [
        { column: mail, as: "email", normalise: ["email"] },
        { column: phone, as: "phone", normalise: ["e164"] },
      ],
    }) as const;
  const labels = { columns: ["id"], maxBytes: 20 };
  const agreed = { mode: "labels", resultTo: "receiver", labels } as const;
  const [r, s] = await run(
    { ...agreed, input: { path: join(directory, "r3.csv"), ...identifiers("mail", "phone") } },
    { ...agreed, input: { path: join(directory, "s3.csv"), ...identifiers("e", "p") } },
  );
  if (r.status === "rejected") throw r.reason;
  if (s.status === "rejected") throw s.reason;
  // Four identifiers in three rows.
  expect(r.value).toMatchObject({ matches: 4, rowsWritten: 3, rows: 4 });
  expect(await readFile(join(directory, "receiver.out.csv"), "utf8")).toBe(
    "row_number,mail,phone,id\n0,a@x.org,+4930111,s0\n1,,+4930222222,s1\n2,c@x.org,+4930333333,s3\n",
  );
  await Promise.all((await outputs()).map((name) => rm(join(directory, name))));
}, 60_000);

test("a peer with another measurement is turned away, by name of the rule", async () => {
  const [r, s, worker] = await run({ timeoutMs: 3_000 }, {}, "11".repeat(32));
  expect(r.status).toBe("rejected");
  expect(s.status).toBe("rejected");
  if (r.status === "rejected") expect(r.reason).toMatchObject({ code: "timeout" });
  const refused = worker.seen.find((event) => event.type === "refused");
  expect(
    refused?.type === "refused" &&
      refused.findings.some(({ rule, ok }) => !ok && /code/.test(rule)),
  ).toBe(true);
  expect(worker.seen.map((event) => event.type)).not.toContain("attested");
  expect(await outputs()).toEqual([]);
}, 60_000);

test("a killed peer ends the other side with a clear error and no output", async () => {
  await using first = await start("receiver", config("receiver", { listen: 0 }));
  const port = await portOf(first);
  // It waits for the receiver's points, which never come: the receiver dies as soon as it is met.
  await using second = await start("sender", config("sender", { connect: port }));
  while (!second.seen.some((event) => event.type === "attested")) {
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
  process.kill(first.pid, "SIGKILL");
  const [r, s] = await Promise.allSettled([first.result, second.result]);
  expect(r.status).toBe("rejected");
  // Everything may be over before the signal arrives; else the sender must know why.
  if (s.status === "rejected") {
    expect((s.reason as { code: string }).code).toMatch(/connection-lost|failed|peer-aborted/);
    expect(await outputs()).toEqual([]);
  }
}, 60_000);
