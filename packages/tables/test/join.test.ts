import { chmodSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { writeJoined } from "../src/join.ts";
import { openTable } from "../src/open.ts";
import type { TableFormat } from "../src/source.ts";
import { file, fresh, listing, readKeys } from "./helpers.ts";

const rows = (...numbers: number[]) => Uint32Array.from(numbers);
const plain = 'id,name\n007,Anna\n008,"Bo, ""B"""\n009,\n010,""\n';

describe("writeJoined", () => {
  it("writes matched rows with their numbers, in row order, and keeps NULL and empty apart", async () => {
    const path = fresh("out.csv");
    const written = await writeJoined({
      input: { path: file("t.csv", plain) },
      rows: rows(1, 2, 3),
      path,
    });
    expect(readFileSync(path, "utf8")).toBe(
      'row_number,id,name\n1,008,"Bo, ""B"""\n2,009,\n3,010,""\n',
    );
    expect(written).toEqual({ rows: 3, columns: ["row_number", "id", "name"] });
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(listing(path)).toEqual(["out.csv"]);
  });

  it.each(["csv", "jsonl", "parquet"] as const)(
    "adds columns behind the table's own: %s",
    async (format) => {
      const n = 3_000;
      const text = Array.from({ length: n }, (_, i) => `${i},n${i}`).join("\n");
      const path = fresh(`out.${format}`);
      const wanted = Uint32Array.from({ length: n / 2 }, (_, i) => 2 * i);
      const written = await writeJoined({
        input: { path: file("t.csv", `id,Name\n${text}\n`) },
        rows: wanted,
        path,
        added: {
          names: ["name", "vendor"],
          values: (i) => [`label "${2 * i}", é`, i % 2 === 0 ? null : ""],
        },
      });
      expect(written.columns).toEqual(["row_number", "id", "Name", "name_2", "vendor"]);
      // Rows stay in order, each with its own values; NULL and empty stay apart.
      const cells = await openTable({
        path,
        keys: [{ column: "id" }],
        payload: { columns: ["row_number", "id", "Name", "name_2", "vendor"], form: "json" },
      });
      const lines: string[] = [];
      for await (const { payload } of cells.batches()) {
        if (payload === undefined) throw new Error("There is no payload.");
        for (let i = 0; i + 1 < payload.offsets.length; i++) {
          const bytes = payload.bytes.subarray(payload.offsets[i], payload.offsets[i + 1]);
          lines.push(new TextDecoder().decode(bytes));
        }
      }
      await cells.close();
      expect(lines).toEqual(
        Array.from(wanted, (row, i) =>
          JSON.stringify([
            String(row),
            String(row),
            `n${row}`,
            `label "${row}", é`,
            i % 2 === 0 ? null : "",
          ]),
        ),
      );
    },
  );

  it("keeps the types of Parquet and the values of JSON", async () => {
    const jsonl = file("t.jsonl", '{"id":"007","n":5,"o":{"x":[1,null]}}\n{"id":"008"}\n');
    const [parquet, again, text] = [fresh("o.parquet"), fresh("o.jsonl"), fresh("o.tsv")];
    await writeJoined({ input: { path: jsonl }, rows: rows(0, 1), path: again });
    expect(
      readFileSync(again, "utf8")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      { row_number: 0, id: "007", n: 5, o: { x: [1, null] } },
      { row_number: 1, id: "008", n: null, o: null },
    ]);
    await writeJoined({ input: { path: jsonl }, rows: rows(0), path: parquet });
    expect(
      (
        await readKeys({
          path: parquet,
          keys: [{ column: "id" }, { column: "n" }, { column: "row_number" }],
        })
      ).keys,
    ).toEqual([["007", "5", "0"]]);
    await writeJoined({ input: { path: parquet }, rows: Float64Array.of(0), path: text });
    expect(readFileSync(text, "utf8")).toBe(
      'row_number_2\trow_number\tid\tn\to\n0\t0\t007\t5\t"{""x"":[1,null]}"\n',
    );
  });

  it("handles names that clash, differ by case, repeat or are empty", async () => {
    const input = { path: file("t.csv", "row_number,A,a,,row_place\n1,2,3,4,5\n") };
    const [csv, jsonl] = [fresh("o.csv"), fresh("o.jsonl")];
    await writeJoined({ input, rows: rows(0), path: csv });
    expect(readFileSync(csv, "utf8")).toBe(
      'row_number_2,row_number,A,a,"",row_place\n0,1,2,3,4,5\n',
    );
    const { columns } = await writeJoined({ input, rows: rows(0), path: jsonl });
    expect(columns).toEqual(["row_number_2", "row_number", "A", "a_2", "column4", "row_place"]);
    expect(JSON.parse(readFileSync(jsonl, "utf8"))).toEqual({
      row_number_2: 0,
      row_number: "1",
      A: "2",
      a_2: "3",
      column4: "4",
      row_place: "5",
    });
    for (const rowNumberColumn of ["a", "ROW_NUMBER", ""]) {
      await expect(
        writeJoined({ input, rows: rows(0), path: fresh("o.csv"), rowNumberColumn }),
      ).rejects.toMatchObject({ code: "invalid-argument" });
    }
    await writeJoined({ input, rows: rows(0), path: csv, rowNumberColumn: "#" });
    expect(readFileSync(csv, "utf8")).toMatch(/^"#",row_number/);
  });

  it.each(["csv", "tsv", "parquet", "jsonl"] as const)(
    "writes no rows and all rows as %s",
    async (format) => {
      const input = { path: file("t.csv", plain) };
      for (const wanted of [rows(), rows(0, 1, 2, 3)]) {
        const path = fresh("out");
        await writeJoined({ input, rows: wanted, path, format });
        if (format === "jsonl" && wanted.length === 0) expect(readFileSync(path, "utf8")).toBe("");
        else
          expect((await readKeys({ path, format, keys: [{ column: "id" }] })).rows).toEqual([
            ...wanted,
          ]);
      }
    },
  );

  it.each([
    [rows(1, 0)],
    [rows(1, 1)],
    [rows(4)],
    [Float64Array.of(-1)],
    [Float64Array.of(0.5)],
    [Float64Array.of(Number.NaN)],
  ])("refuses the row numbers %j", async (wanted) => {
    const path = fresh("out.csv");
    await expect(
      writeJoined({ input: { path: file("t.csv", plain) }, rows: wanted, path }),
    ).rejects.toMatchObject({ code: "invalid-argument" });
    expect(listing(path)).toEqual([]);
  });

  it("leaves the old file and nothing else when it fails half-way", async () => {
    // A bad byte far behind: DuckDB has written rows by then.
    const body = Array.from({ length: 300_000 }, (_, i) => `${i},x`).join("\n");
    const input = {
      path: file(
        "t.csv",
        Buffer.concat([Buffer.from(`a,b\n${body}\n1,`), Buffer.from([0xff, 10])]),
      ),
    };
    const all = Uint32Array.from({ length: 300_001 }, (_, i) => i);
    for (const format of ["csv", "parquet", "jsonl"] as const) {
      const path = fresh("out");
      writeFileSync(path, "old");
      await expect(writeJoined({ input, rows: all, path, format })).rejects.toMatchObject({
        code: "malformed",
        message: "t.csv, line 300002: the text is not valid UTF-8.",
      });
      expect(readFileSync(path, "utf8")).toBe("old");
      expect(listing(path)).toEqual(["out"]);
    }
  });

  it("replaces an existing file, and a link instead of what it points at", async () => {
    const target = file("target.csv", "precious");
    const path = fresh("out.csv");
    symlinkSync(target, path);
    await writeJoined({ input: { path: file("t.csv", plain) }, rows: rows(0), path });
    expect(readFileSync(target, "utf8")).toBe("precious");
    chmodSync(path, 0o644);
    await writeJoined({ input: { path: file("t.csv", plain) }, rows: rows(0), path });
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  it("refuses to replace its input, a directory, and a place that is not there", async () => {
    const path = file("t.csv", plain);
    const link = join(path, "..", "link.csv");
    symlinkSync(path, link);
    for (const output of [path, link]) {
      await expect(
        writeJoined({ input: { path }, rows: rows(0), path: output }),
      ).rejects.toMatchObject({ code: "invalid-argument" });
    }
    expect(readFileSync(path, "utf8")).toBe(plain);
    const directory = fresh("dir.csv");
    mkdirSync(directory);
    await expect(
      writeJoined({ input: { path }, rows: rows(0), path: directory }),
    ).rejects.toMatchObject({ code: "write-failed" });
    expect(listing(directory)).toEqual(["dir.csv"]);
    await expect(
      writeJoined({ input: { path }, rows: rows(0), path: join(path, "..", "no", "o.csv") }),
    ).rejects.toMatchObject({ code: "write-failed" });
    const cancelled = { path, signal: AbortSignal.abort() };
    const output = fresh("o.csv");
    await expect(
      writeJoined({ input: cancelled, rows: rows(0), path: output }),
    ).rejects.toMatchObject({ code: "aborted" });
    expect(listing(output)).toEqual([]);
  });
});

describe("round trips", () => {
  const special = fc.string({
    unit: fc.constantFrom(
      '"',
      ",",
      "\t",
      "\n",
      "\r",
      ";",
      " ",
      "a",
      "0",
      "#",
      "\\",
      "é",
      "漢",
      "😀",
      "=",
      "\u00a0",
      "'",
    ),
    maxLength: 6,
  });
  const cell = fc
    .oneof(
      special,
      fc.string({ unit: "grapheme", maxLength: 8 }),
      fc.constantFrom("NULL", "null", "\\N", "007", "1e5", "-0", "true", "{}", '"'),
    )
    // NUL bytes are legal in none of the formats alike.
    .map((text) => text.replaceAll("\0", ""))
    .filter((text) => !/\p{Surrogate}/u.test(text));
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain((width) =>
      fc
        .array(fc.array(cell, { minLength: width, maxLength: width }), { maxLength: 6 })
        .map((body) => ({ width, body })),
    );

  const encode = (value: string) => `"${value.replaceAll('"', '""')}"`;

  it("random tables come back as they went, in every format", async () => {
    await fc.assert(
      fc.asyncProperty(
        table,
        fc.constantFrom("\n", "\r\n"),
        fc.constantFrom<TableFormat>("csv", "tsv", "parquet", "jsonl"),
        fc.boolean(),
        async ({ width, body }, end, format, bom) => {
          const names = Array.from({ length: width }, (_, i) => `k${i}`);
          const lines = [names, ...body].map((row) => row.map(encode).join(","));
          const path = file("in.csv", `${bom ? "\ufeff" : ""}${lines.join(end)}${end}`);
          const wanted = Uint32Array.from(body.map((_, i) => i).filter((i) => i % 3 !== 1));
          const out = fresh("out");
          await writeJoined({ input: { path }, rows: wanted, path: out, format });
          if (format === "jsonl" && wanted.length === 0) return;
          // Keys leave out empty cells, so a mark is put before each by reading it per column.
          await using again = await openTable({
            path: out,
            format,
            keys: [{ column: "row_number" }],
          });
          expect(again.rows).toBe(wanted.length);
          for (let column = 0; column < width; column++) {
            const { keys, rows: at } = await readKeys({
              path: out,
              format,
              keys: [{ column: `k${column}` }],
            });
            const expected = [...wanted]
              .map((row, place) => ({ place, text: body[row]?.[column] ?? "" }))
              .filter(({ text }) => text !== "");
            expect(at).toEqual(expected.map(({ place }) => place));
            expect(keys).toEqual(expected.map(({ text }) => [text]));
          }
        },
      ),
      { numRuns: 30 },
    );
  }, 60_000);
});

it("reads and joins 200,000 rows in bounded memory", async () => {
  const count = 200_000;
  const value = "x".repeat(200);
  const path = file(
    "big.csv",
    `id,mail,rest\n${Array.from({ length: count }, (_, i) => `${i},User${i}@Example.COM,${value}`).join("\n")}\n`,
  );
  const out = fresh("out.csv");
  globalThis.gc?.();
  const before = process.memoryUsage().rss;
  let peak = before;
  const matched: number[] = [];
  const input = { path, limits: { memoryMb: 96, batchRows: 8192 } };
  await using table = await openTable({
    ...input,
    keys: [{ column: "mail", normalise: ["email"] }],
  });
  for await (const batch of table.batches()) {
    peak = Math.max(peak, process.memoryUsage().rss);
    for (const row of batch.rows) if (row % 4 === 0) matched.push(row);
  }
  expect(table.counts).toEqual({ rows: count, keys: count, missing: 0, invalid: 0 });
  await writeJoined({ input, rows: Uint32Array.from(matched), path: out });
  expect(
    (await readKeys({ path: out, keys: [{ column: "row_number" }] })).keys.map(([key]) =>
      Number(key),
    ),
  ).toEqual(matched);
  expect(peak - before).toBeLessThan(400 * 1024 * 1024);
}, 60_000);
