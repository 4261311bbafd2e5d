import { writeFileSync } from "node:fs";
import { DuckDBInstance } from "@duckdb/node-api";
import { describe, expect, it } from "vitest";
import { openTable } from "../src/open.ts";
import { file, fresh, readKeys } from "./helpers.ts";

const a = [{ column: "a" }];

async function parquetFile(select: string): Promise<string> {
  const path = fresh("t.parquet");
  const instance = await DuckDBInstance.create();
  const connection = await instance.connect();
  await connection.run(`COPY (${select}) TO '${path}' (FORMAT parquet)`);
  connection.closeSync();
  instance.closeSync();
  return path;
}

describe("match any", () => {
  const path = file(
    "any.csv",
    "mail,phone,n\nA@x.org,+49 30 123456,1\n,+4930123456,2\nnobody,,3\n,,4\nb@x.org,12,5\n",
  );
  const keys = [
    { column: "mail", as: "email", normalise: ["email"] },
    { column: "phone", normalise: ["e164"] },
  ] as const;
  it.each([1, 2, 1000])(
    "gives each identifier of a row, under its name, in batches of %i",
    async (batchRows) => {
      const read = await readKeys({ path, keys, match: "any", limits: { batchRows } });
      expect(read.keys).toEqual([
        ["email", "a@x.org"],
        ["phone", "+4930123456"],
        ["phone", "+4930123456"],
        ["email", "b@x.org"],
      ]);
      expect(read.rows).toEqual([0, 0, 1, 4]);
      expect(read.counts).toEqual({ rows: 5, keys: 3, missing: 1, invalid: 1 });
    },
  );
  it("is another encoding than all, so that parties who differ are told", async () => {
    const describe = async (match: "all" | "any") => {
      await using table = await openTable({ path, keys, match });
      return JSON.stringify(table.description);
    };
    expect(await describe("any")).not.toBe(await describe("all"));
  });
  it("keeps keys within their limit", async () => {
    const long = file("long.csv", `mail,phone\n${"x".repeat(60)}@x.org,\n`);
    await expect(
      readKeys({ path: long, keys, match: "any", limits: { maxKeyBytes: 60 } }),
    ).rejects.toMatchObject({ code: "limit-exceeded" });
  });
});

describe("payload columns", () => {
  const path = file("p.csv", "a,b,c\nx,1,\n,2,lost\ny,,z\n");
  const read = async (payload: NonNullable<Parameters<typeof openTable>[0]["payload"]>) => {
    await using table = await openTable({ path, keys: a, payload, limits: { batchRows: 1 } });
    const values: string[] = [];
    for await (const batch of table.batches()) {
      expect(batch.payload?.offsets).toHaveLength(batch.rows.length + 1);
      values.push(new TextDecoder().decode(batch.payload?.bytes));
    }
    return values;
  };
  it("go with the keys, and not with rows that have none", async () => {
    expect(await read({ columns: ["b", "c"], form: "json" })).toEqual(['["1",null]', '[null,"z"]']);
    expect(await read({ columns: ["b"], form: "text" })).toEqual(["1", ""]);
  });
  it("must exist, and be one as text", async () => {
    await expect(read({ columns: ["d"], form: "text" })).rejects.toMatchObject({
      code: "missing-column",
    });
    for (const columns of [[], ["b", "c"]]) {
      await expect(read({ columns, form: "text" })).rejects.toMatchObject({
        code: "invalid-argument",
      });
    }
  });
});

describe("CSV", () => {
  it("reads text as it stands: no types, no trimming, quotes and line ends inside", async () => {
    const path = file(
      "t.csv",
      '\ufeffa,b\r\n007,1\r\n1e3,2\r\n" x ",3\r\n"q""q",4\r\n"l\r\nl",5\r\nNULL,6\r\n#7,7\r\n 8,8\r\n',
    );
    const { keys, rows, columns } = await readKeys({ path, keys: a });
    expect(keys.map(([key]) => key)).toEqual([
      "007",
      "1e3",
      " x ",
      'q"q',
      "l\r\nl",
      "NULL",
      "#7",
      " 8",
    ]);
    expect(rows).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    expect(columns).toEqual(["a", "b"]);
  });

  it("counts rows with NULL, empty and invalid keys and leaves them out", async () => {
    const path = file("t.csv", 'a,b\nx@y.de,1\n,2\n"",3\n  ,4\nnobody,5\nZ@Y.de,6\n');
    const { keys, rows, counts, total } = await readKeys({
      path,
      keys: [{ column: "a", normalise: ["email"] }],
    });
    expect(keys).toEqual([["x@y.de"], ["z@y.de"]]);
    expect(rows).toEqual([0, 5]);
    expect(counts).toEqual({ rows: 6, keys: 2, missing: 3, invalid: 1 });
    expect(total).toBe(6);
  });

  it.each([
    ["t.csv", "a;b\n1;2\n", { delimiter: ";" }],
    ["t.csv", "a|b\n1|2", { delimiter: "|" }],
    ["t.tsv", "a\tb\n1\t2\n", {}],
    ["t.tab", "a\tb\r1\t2\r", {}],
    ["t.txt", "a,b\n1,2\n", { format: "csv" }],
    ["t.csv", "a,b\n\n1,2\n\n", {}],
    ["we[i]rd *?'name.csv", "a,b\n1,2\n", {}],
  ] as const)("reads %s %j with %j", async (name, content, options) => {
    const { keys, columns } = await readKeys({
      path: file(name, content),
      keys: [{ column: "a" }, { column: "b" }],
      ...options,
    });
    expect(columns).toEqual(["a", "b"]);
    expect(keys).toEqual([["1", "2"]]);
  });

  it("takes quotes as text where they mean nothing", async () => {
    const path = file("t.tsv", 'a\tb\n"x\t2\n');
    expect((await readKeys({ path, keys: a, quote: "" })).keys).toEqual([['"x']]);
  });

  it("names columns by number without a header", async () => {
    const path = file("t.csv", "x,1\ny,2\n");
    const { keys, columns } = await readKeys({
      path,
      header: false,
      keys: [{ column: "column2" }],
    });
    expect(columns).toEqual(["column1", "column2"]);
    expect(keys).toEqual([["1"], ["2"]]);
  });

  it("keeps columns apart that differ by case only", async () => {
    const path = file("t.csv", "a,A,a b\n1,2,3\n");
    expect((await readKeys({ path, keys: [{ column: "A" }] })).keys).toEqual([["2"]]);
  });

  it("counts empty lines of one column as rows", async () => {
    const { counts } = await readKeys({ path: file("t.csv", 'a\n1\n\n""\n2\n'), keys: a });
    expect(counts).toEqual({ rows: 4, keys: 2, missing: 2, invalid: 0 });
  });

  it("reads a table without rows", async () => {
    for (const content of ["a,b", "a,b\n", "a,b\r\n"]) {
      expect((await readKeys({ path: file("t.csv", content), keys: a })).counts.rows).toBe(0);
    }
  });

  it.each([
    ["too many fields", "a,b\n1,2\n1,2,3\n", /t\.csv, line 3: expected 2 columns, found 3\./],
    ["too few fields", "a,b\n1\n", /line 2: expected 2 columns, found 1/],
    [
      "an open quote, which DuckDB drops with all that follows",
      'a,b\n1,2\n"3,4\n5,6\n',
      /line 3: a quoted value does not end/,
    ],
    ["text after a quote", 'a,b\n"1"x,2\n', /line 2: characters follow a closing quote/],
    ["a space before a quote", 'a,b\n1, "2"\n', /line 2: a space stands before/],
    ["mixed line ends", "a,b\n1,2\r\n", /line 2: the line end differs/],
    ["a quoted line end before the error", 'a,b\n"1\n\n",2\n1\n', /line 5: expected 2/],
    [
      "bytes that are not UTF-8",
      Uint8Array.from([97, 10, 49, 10, 0xff, 10]),
      /line 3: the text is not valid UTF-8/,
    ],
    ["a header that is not UTF-8", Uint8Array.from([97, 0xff, 10, 49, 10]), /not valid UTF-8/],
    ["UTF-16", Uint8Array.from([0xff, 0xfe, 97, 0, 10, 0]), /UTF-16/],
    ["nothing at all", "", /empty/],
    ["an empty first line", "\na\n1\n", /line 1: the first line is empty/],
  ])("refuses %s", async (_, content, message) => {
    const error = await readKeys({ path: file("t.csv", content), keys: a }).then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).toMatchObject({
      domain: "tables",
      code: "malformed",
      message: expect.stringMatching(message),
    });
  });

  it("never quotes a row in an error", async () => {
    const path = file(
      "t.csv",
      Buffer.concat([Buffer.from("a,b\ncanary-7f3a"), Buffer.from([0xff]), Buffer.from(",1\n")]),
    );
    const error = await readKeys({ path, keys: a }).then(
      () => undefined,
      (e: unknown) => e,
    );
    expect(error).toMatchObject({ code: "malformed" });
    expect(JSON.stringify(error)).not.toContain("canary");
    expect(String(error)).not.toContain("canary");
  });

  it.each([
    { delimiter: "" },
    { delimiter: "ab" },
    { delimiter: '"' },
    { delimiter: "\n" },
    { delimiter: "é" },
    { delimiter: "x" },
  ])("refuses the dialect %j", async (options) => {
    await expect(
      openTable({ path: file("t.csv", "a\n"), keys: a, ...options }),
    ).rejects.toMatchObject({ code: "invalid-argument" });
  });
});

describe("columns", () => {
  it("lists what there is when a column is missing", async () => {
    await expect(
      openTable({ path: file("t.csv", "email,na me\n"), keys: a }),
    ).rejects.toMatchObject({
      code: "missing-column",
      message: 't.csv has no column "a". It has: "email", "na me".',
    });
  });
  it("refuses a column that is there twice", async () => {
    await expect(openTable({ path: file("t.csv", "a,b,a\n"), keys: a })).rejects.toThrow(
      /2 columns named "a"/,
    );
  });
});

describe("JSON lines", () => {
  it("reads strings as they stand, whatever line a name first appears in", async () => {
    const path = file(
      "t.jsonl",
      '{"b":1,"a":"007"}\n\n{"a":null}\r\n{"c/~d":"x"}\n{"a":"\\u00e9 \\"q\\"","A":"other"}\n{"a":7}',
    );
    const read = await readKeys({ path, keys: a });
    expect(read.keys).toEqual([["007"], ['é "q"'], ["7"]]);
    expect(read.rows).toEqual([0, 3, 4]);
    expect(read.counts.missing).toBe(2);
    expect(read.columns).toEqual(["b", "a", "c/~d", "A"]);
    expect((await readKeys({ path, keys: [{ column: "c/~d" }] })).keys).toEqual([["x"]]);
    expect((await readKeys({ path, keys: [{ column: "A" }] })).keys).toEqual([["other"]]);
  });

  it.each([
    ['{"a":1}\n{"a":\n', /^t\.jsonl, line 2: not valid JSON\.$/],
    ['{"a":1}\n\n\n{"a":3}\n{"a":4} x\n', /line 5: not valid JSON/],
    ['{"a":1}\n{"a":1} {"a":2}', /line 2: not valid JSON/],
    [
      Uint8Array.from([...Buffer.from('{"a":1}\n{"a":"'), 0xff, 0x22, 0x7d]),
      /line 2: not valid JSON/,
    ],
    ['{"a":1}\n[1]\n', /line 2: not a JSON object/],
    ['{"a":1}\n7\n', /line 2: not a JSON object/],
  ])("refuses %j", async (content, message) => {
    await expect(readKeys({ path: file("t.jsonl", content), keys: a })).rejects.toMatchObject({
      code: "malformed",
      message: expect.stringMatching(message),
    });
  });
});

describe("Parquet", () => {
  it("gives typed columns one canonical text", async () => {
    const path = await parquetFile(
      "SELECT 7::TINYINT AS i, 1.50::DECIMAL(9,2) AS d, DATE '2026-01-02' AS day, TIMESTAMP '2026-01-02 03:04:05.5' AS t, true AS b, '007' AS s, 'x' AS \"Wei\"\"rd\"",
    );
    const keys = ["i", "d", "day", "t", "b", "s", 'Wei"rd'].map((column) => ({ column }));
    expect((await readKeys({ path, keys })).keys).toEqual([
      ["7", "1.50", "2026-01-02", "2026-01-02 03:04:05.5", "true", "007", "x"],
    ]);
  });

  it("refuses key columns without canonical text", async () => {
    const path = await parquetFile("SELECT 1.5::DOUBLE AS f, [1] AS l, 'x'::BLOB AS x, now() AS z");
    for (const column of ["f", "l", "x", "z"]) {
      await expect(openTable({ path, keys: [{ column }] })).rejects.toMatchObject({
        code: "invalid-argument",
      });
    }
  });

  it("refuses a file that is not Parquet", async () => {
    await expect(
      openTable({ path: file("t.parquet", "a,b\n1,2\n".repeat(9)), keys: a }),
    ).rejects.toMatchObject({
      code: "malformed",
      message: "t.parquet is not a valid Parquet file.",
    });
  });
});

describe("limits and cancelling", () => {
  const many = `a,b\n${Array.from({ length: 5000 }, (_, i) => `k${i},x`).join("\n")}\n`;

  it.each([
    [{ maxRows: 4999 }, /maxRows/],
    [{ maxColumns: 1 }, /maxColumns/],
    [{ maxRecordBytes: 5 }, /line \d+.*maxRecordBytes/],
    [{ maxKeyBytes: 10 }, /row \d+.*maxKeyBytes/],
  ])("stops at %j", async (limits, message) => {
    await expect(readKeys({ path: file("t.csv", many), keys: a, limits })).rejects.toMatchObject({
      code: "limit-exceeded",
      message: expect.stringMatching(message),
    });
  });

  it("refuses limits out of range", async () => {
    for (const limits of [
      { batchRows: 0 },
      { threads: 1.5 },
      { memoryMb: 1 },
      { maxRows: 2 ** 31 },
      { maxKeyBytes: Number.NaN },
    ]) {
      await expect(openTable({ path: file("t.csv", many), keys: a, limits })).rejects.toMatchObject(
        { code: "invalid-argument" },
      );
    }
  });

  it("makes batches of bounded rows and bytes", async () => {
    for (const limits of [{ batchRows: 999 }, { batchBytes: 5000 }]) {
      await using table = await openTable({ path: file("t.csv", many), keys: a, limits });
      const sizes: number[] = [];
      for await (const batch of table.batches()) {
        sizes.push(batch.rows.length);
        expect(batch.bytes.length).toBeLessThan(
          5000 + 100 + (limits.batchRows === undefined ? 0 : 50_000),
        );
        expect(batch.bytes.buffer.byteLength).toBe(batch.bytes.length);
      }
      expect(sizes.reduce((x, y) => x + y)).toBe(5000);
      expect(sizes.length).toBeGreaterThan(5);
    }
  });

  it("can be read again after an early end, but not twice at once, nor when closed", async () => {
    const table = await openTable({
      path: file("t.csv", many),
      keys: a,
      limits: { batchRows: 100 },
    });
    const first = table.batches();
    await first.next();
    await expect(table.batches().next()).rejects.toThrow(/being read/);
    await first.return();
    let rows = 0;
    for await (const batch of table.batches()) rows += batch.rows.length;
    expect(rows).toBe(5000);
    await table.close();
    await table.close();
    await expect(table.batches().next()).rejects.toThrow(/closed/);
  });

  it("refuses to go on when the file changes under it", async () => {
    const path = file("t.csv", many);
    await using table = await openTable({ path, keys: a });
    writeFileSync(path, "a,b\n1,2\n");
    const read = async () => {
      for await (const _ of table.batches()) {
        // The count is complete at the end only.
      }
    };
    await expect(read()).rejects.toMatchObject({ code: "malformed" });
  });

  it("stops when its signal fires", async () => {
    const path = file("t.csv", many);
    await expect(openTable({ path, keys: a, signal: AbortSignal.abort() })).rejects.toMatchObject({
      domain: "core",
      code: "aborted",
    });
    const controller = new AbortController();
    await using table = await openTable({
      path,
      keys: a,
      signal: controller.signal,
      limits: { batchRows: 10 },
    });
    const batches = table.batches();
    await batches.next();
    controller.abort();
    await expect(
      (async () => {
        for await (const _ of batches) {
        }
      })(),
    ).rejects.toMatchObject({ code: "aborted" });
  });

  it("says what is wrong with a path", async () => {
    await expect(openTable({ path: fresh("none.csv"), keys: a })).rejects.toMatchObject({
      code: "not-found",
      message: "Cannot read none.csv: there is no such file.",
    });
    await expect(openTable({ path: "/", format: "csv", keys: a })).rejects.toMatchObject({
      code: "not-found",
    });
    await expect(openTable({ path: file("t.xlsx", ""), keys: a })).rejects.toMatchObject({
      code: "invalid-argument",
    });
  });
});
