import { symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openDatabase } from "../src/duck.ts";
import { resolveLimits } from "../src/limits.ts";
import { openTable } from "../src/open.ts";
import { file, fresh } from "./helpers.ts";

async function locked(path: string) {
  return openDatabase([path], "t.csv", resolveLimits());
}

/** The message of DuckDB beneath the error. */
async function refusal(path: string, sql: string): Promise<string> {
  const database = await locked(path);
  try {
    await database.rows(sql);
    return "nothing was refused";
  } catch (error) {
    return String((error as Error).cause);
  } finally {
    database.close();
  }
}

describe("the database", () => {
  const allowed = file("t.csv", "a\n1\n");
  const other = file("other.csv", "a\nsecret\n");
  const link = join(fresh("x"), "..", "link.csv");
  symlinkSync(other, link);
  const read = (path: string) => `SELECT * FROM read_csv('${path}', all_varchar = true)`;

  it("reads the file it was given", async () => {
    const database = await locked(allowed);
    expect(await database.rows(read(allowed))).toEqual([["1"]]);
    database.close();
  });

  it.each([
    ["another file", read(other)],
    [
      "another file by a way around",
      read(join(allowed, "..", "..", "..", "..", "etc", "hostname")),
    ],
    ["all files", read(join(allowed, "..", "*"))],
    ["a link beside it", read(link)],
    ["a file as text", `SELECT * FROM read_text('${other}')`],
    ["a file named as a table", `SELECT * FROM '${other}'`],
    ["a directory", `SELECT * FROM glob('${join(other, "..", "*")}')`],
    ["a URL", read("https://example.com/a.csv")],
    ["another file by writing", `COPY (SELECT 1) TO '${other}'`],
    ["another database", `ATTACH '${other}.db'`],
    ["an export", `EXPORT DATABASE '${join(other, "..")}'`],
  ])("does not touch %s", async (_, sql) => {
    expect(await refusal(allowed, sql)).toMatch(/Permission Error/);
  });

  it.each(["INSTALL httpfs", "LOAD httpfs", "INSTALL httpfs FROM community", `LOAD '${other}'`])(
    "fetches and loads nothing: %s",
    async (sql) => {
      expect(await refusal(allowed, sql)).toMatch(
        /Permission Error|disabled through configuration/,
      );
    },
  );

  it.each([
    "SET enable_external_access = true",
    "SET allowed_paths = ['/']",
    "SET autoload_known_extensions = true",
    "SET temp_directory = '/tmp'",
    "SET memory_limit = '100GB'",
    "SET threads = 8",
    "SET lock_configuration = false",
    "RESET lock_configuration",
  ])("keeps its configuration: %s", async (sql) => {
    expect(await refusal(allowed, sql)).toMatch(/locked|Cannot (change|reset)/i);
  });

  it("has its settings", async () => {
    const database = await locked(allowed);
    const names = [
      "temp_directory",
      "threads",
      "autoinstall_known_extensions",
      "autoload_known_extensions",
      "allow_community_extensions",
      "allow_unsigned_extensions",
      "enable_external_access",
      "memory_limit",
      "lock_configuration",
    ];
    const [row] = await database.rows(
      `SELECT ${names.map((name) => `current_setting('${name}')`).join(", ")}`,
    );
    expect(row).toEqual([
      "",
      "1",
      "false",
      "false",
      "false",
      "false",
      "false",
      "512.0 MiB",
      "true",
    ]);
    database.close();
  });

  it("stops at its memory limit instead of spilling", async () => {
    const database = await openDatabase([allowed], "t.csv", resolveLimits({ memoryMb: 32 }));
    await expect(
      database.rows("SELECT count(*) FROM (SELECT DISTINCT range FROM range(20000000))"),
    ).rejects.toMatchObject({
      code: "limit-exceeded",
      message: expect.stringMatching(/memoryMb/),
    });
    database.close();
  });
});

it("follows a link to the input, which the caller named", async () => {
  const path = file("real.csv", "a\n1\n");
  const link = join(path, "..", "link.csv");
  symlinkSync(path, link);
  await using table = await openTable({ path: link, keys: [{ column: "a" }] });
  expect(table.rows).toBe(1);
});
