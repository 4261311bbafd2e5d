/** Two launched trust domains on real files: results, outputs and receipts against a plain join. */
import { mkdirSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fingerprint } from "@vivarium/attestation";
import type { PsiWorkerConfig, PsiWorkerSummary } from "@vivarium/psi";
import { verifyReceipt } from "@vivarium/seal";
import { openTable, writeJoined } from "@vivarium/tables";
import { beforeAll, expect, test } from "vitest";
import {
  at,
  crypto,
  errorOf,
  filesIn,
  freePort,
  freshDirectory,
  makeWorld,
  other,
  type Role,
  resultOf,
  runBoth,
  start,
  type World,
} from "./support.ts";

let world: World;
const inputs = freshDirectory();

/** Duplicates, case, spaces, empty cells and quotes; 300 distinct items are common. */
const cells: Readonly<Record<Role, readonly string[]>> = {
  receiver: [
    ...Array.from({ length: 900 }, (_, i) => ` User${i}@Example.org `),
    ...Array.from({ length: 50 }, (_, i) => `user${i + 595}@example.ORG`),
    "",
    "",
  ],
  sender: Array.from({ length: 700 }, (_, i) => `user${i + 600}@example.org`),
};
const column: Readonly<Record<Role, string>> = { receiver: "mail", sender: "address" };
/** Quoted as CSV: a quote and a comma inside. */
const note = (i: number): string => `"say ""${i}"", twice"`;
const normal = (cell: string): string => cell.trim().toLowerCase();

beforeAll(async () => {
  world = await makeWorld();
  for (const role of ["receiver", "sender"] as const) {
    const rows = cells[role].map((cell, i) => `${i},${note(i)},${cell}`);
    writeFileSync(join(inputs, `${role}.csv`), `id,note,${column[role]}\n${rows.join("\n")}\n`);
  }
  await writeJoined({
    input: { path: join(inputs, "sender.csv") },
    rows: Uint32Array.from(cells.sender, (_, i) => i),
    path: join(inputs, "sender.parquet"),
    rowNumberColumn: "line",
  });
});

function configIn(
  directory: string,
  more: (role: Role) => Partial<PsiWorkerConfig> = () => ({}),
): Parameters<typeof runBoth>[2] {
  mkdirSync(directory, { recursive: true });
  return (role, where) => ({
    ...where,
    input: {
      path: join(inputs, `${role}.csv`),
      keys: [{ column: column[role], as: "mail", normalise: ["trim", "lower"] }],
    },
    output: { path: join(directory, `${role}.csv`) },
    mode: "intersection",
    resultTo: "receiver",
    maxItems: 10_000,
    minItems: 1,
    timeoutMs: 30_000,
    ...more(role),
  });
}

/** Row numbers that a plain join selects. */
function joinedRows(role: Role): number[] {
  const theirs = new Set(cells[other(role)].map(normal).filter((item) => item !== ""));
  return cells[role].flatMap((cell, i) => (theirs.has(normal(cell)) ? [i] : []));
}

function plainCsv(role: Role): string {
  const lines = joinedRows(role).map((i) => `${i},${i},${note(i)},${cells[role][i]}`);
  return `row_number,id,note,${column[role]}\n${lines.join("\n")}\n`;
}

async function checkReceipt(summary: PsiWorkerSummary, role: Role): Promise<string> {
  const own = await fingerprint(crypto, world[role].identity.publicKey);
  const foreign = await fingerprint(crypto, world[other(role)].identity.publicKey);
  const receipt = await verifyReceipt(summary.receipt, { crypto, identities: [own] });
  expect(receipt.body).toMatchObject({
    role,
    mode: summary.mode,
    matches: summary.matches,
    items: summary.items,
    peerItems: summary.peerItems,
  });
  expect(receipt.parties).toHaveLength(1);
  expect(JSON.stringify(receipt.parties)).toContain(foreign);
  const refused = verifyReceipt(summary.receipt, { crypto, identities: [foreign] });
  await expect(refused).rejects.toMatchObject({ domain: "seal" });
  for (let i = 0; i < summary.receipt.length; i += 37) {
    const forged = Uint8Array.from(summary.receipt);
    forged[i] = (forged[i] as number) ^ 1;
    await expect(
      verifyReceipt(forged, { crypto, identities: [own] }),
      `byte ${i}`,
    ).rejects.toMatchObject({ domain: expect.stringMatching(/seal|attestation/) });
  }
  return String((receipt.body as Record<string, unknown>)["transcript"]);
}

test("intersection to the receiver: its CSV is the plain join's, and the sender learns nothing", async () => {
  const directory = freshDirectory();
  const ended = await runBoth(world, "receiver", configIn(directory));
  const receiver = resultOf(ended.receiver);
  const sender = resultOf(ended.sender);
  expect(receiver).toMatchObject({ matches: 300, missing: 2, items: 900, peerItems: 700 });
  expect(receiver.rowsWritten).toBe(joinedRows("receiver").length);
  expect(sender).toMatchObject({ matches: null, rowsWritten: null, items: 700, peerItems: 900 });
  expect(filesIn(directory)).toEqual(["receiver.csv"]);
  expect(await readFile(join(directory, "receiver.csv"), "utf8")).toBe(plainCsv("receiver"));
  const transcripts = [
    await checkReceipt(receiver, "receiver"),
    await checkReceipt(sender, "sender"),
  ];
  expect(transcripts[0]).toBe(transcripts[1]);
});

test("intersection to both, the sender listening, Parquet in and out", async () => {
  const directory = freshDirectory();
  const config = configIn(directory, (role) => ({
    resultTo: "both",
    output: { path: join(directory, `${role}.parquet`) },
    ...(role === "receiver"
      ? {}
      : {
          input: {
            path: join(inputs, "sender.parquet"),
            keys: [{ column: "address", as: "mail", normalise: ["trim", "lower"] }],
          },
        }),
  }));
  const ended = await runBoth(world, "sender", config);
  expect(resultOf(ended.receiver).matches).toBe(300);
  expect(resultOf(ended.sender)).toMatchObject({ matches: 300, rowsWritten: 300 });
  expect(filesIn(directory)).toEqual(["receiver.parquet", "sender.parquet"]);
  for (const role of ["receiver", "sender"] as const) {
    // Read back by its key column, in the order of the file.
    const path = join(directory, `${role}.parquet`);
    await using table = await openTable({ path, keys: [{ column: column[role] }] });
    const keys: string[] = [];
    for await (const { bytes, offsets } of table.batches()) {
      for (let i = 0; i + 1 < offsets.length; i++) {
        keys.push(Buffer.from(bytes.subarray(offsets[i], offsets[i + 1])).toString("latin1"));
      }
    }
    const expected = joinedRows(role).map((i) => cells[role][i] as string);
    expect(keys).toHaveLength(expected.length);
    for (const [i, cell] of expected.entries()) expect(keys[i]).toContain(cell);
  }
});

test("cardinality to both: a count, and no file", async () => {
  const directory = freshDirectory();
  const config = configIn(directory, () => ({ mode: "cardinality", resultTo: "both" }));
  const ended = await runBoth(world, "receiver", config);
  for (const side of [ended.receiver, ended.sender]) {
    expect(resultOf(side)).toMatchObject({ matches: 300, rowsWritten: null });
  }
  expect(filesIn(directory)).toEqual([]);
});

test("the side that connects may start first, and waits", async () => {
  const directory = freshDirectory();
  const port = await freePort();
  const config = configIn(directory);
  await using first = await start(world, "receiver", config("receiver", at("connect", port)));
  expect(await first.until(({ type }) => type === "waiting")).toMatchObject({ how: "connect" });
  await using second = await start(world, "sender", config("sender", at("listen", port)));
  const [receiver] = await Promise.all([first.summary(), second.summary()]);
  expect(receiver.matches).toBe(300);
});

test("other normalisers on one side: both name the field and the values, nothing is written", async () => {
  const directory = freshDirectory();
  const config = configIn(directory, (role) => ({
    resultTo: "both",
    input: {
      path: join(inputs, `${role}.csv`),
      keys: [
        {
          column: column[role],
          as: "mail",
          normalise: role === "receiver" ? ["trim", "lower"] : ["trim"],
        },
      ],
    },
  }));
  const ended = await runBoth(world, "receiver", config);
  for (const side of [ended.receiver, ended.sender]) {
    const error = errorOf(side);
    expect(error).toMatchObject({ domain: "psi", code: "config-mismatch" });
    expect(error.message).toContain("keys.columns[0].normalise");
    expect(error.message).toMatch(/trim\S* → lower/);
    expect(error.message).not.toMatch(/example/i);
  }
  expect(filesIn(directory)).toEqual([]);
});
