/**
 * The compiled ladders, as this machine's compiler makes them: no conditional jump but loops over public
 * counters, and no address that the scalar decides. A compiler may turn a selection back into a branch.
 */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";

const native = join(import.meta.dirname, "..", "native");
const directory = mkdtempSync(join(tmpdir(), "vivarium-ladder-"));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const works = (command: string): boolean =>
  spawnSync(command, ["--version"], { stdio: "ignore" }).status === 0;
const skipped = process.arch !== "x64" || !works("cc") || !works("objdump");

/** As `scripts/build-native.ts` compiles them. */
const common = ["-O3", "-std=gnu11", "-fPIC", "-fvisibility=hidden"];
const tuning = ["-fschedule-insns", "-fsched-pressure"];
const ifma = [
  ...tuning,
  "-mavx512f",
  "-mavx512dq",
  "-mavx512vl",
  "-mavx512ifma",
  "-mtune=icelake-server",
];

interface Instruction {
  readonly at: number;
  readonly name: string;
  readonly operands: string;
}

function compile(file: string, flags: readonly string[]): string {
  const object = join(directory, file.replace(/\.c$/, ".o"));
  const { status, stderr } = spawnSync(
    "cc",
    [...common, ...flags, "-c", file.startsWith("/") ? file : join(native, file), "-o", object],
    { encoding: "utf8" },
  );
  if (status !== 0) throw new Error(stderr);
  return object;
}

function instructionsOf(object: string, name: string): readonly Instruction[] {
  const { stdout } = spawnSync("objdump", ["-d", "--no-show-raw-insn", object], {
    encoding: "utf8",
    maxBuffer: 1 << 27,
  });
  const start = stdout.indexOf(`<${name}>:\n`);
  if (start < 0) throw new Error(`There is no function ${name}.`);
  const body = stdout.slice(start, stdout.indexOf("\n\n", start));
  return [...body.matchAll(/^ *([0-9a-f]+):\t(\S+) *([^\n#<]*)/gm)].map(([, at, op, operands]) => ({
    at: Number.parseInt(at as string, 16),
    name: op as string,
    operands: (operands as string).trim(),
  }));
}

/** What could depend on the scalar. */
function findingsIn(code: readonly Instruction[]): string[] {
  const findings: string[] = [];
  for (const [i, { at, name, operands }] of code.entries()) {
    if (/^(jmp|call)/.test(name)) {
      if (operands.startsWith("*")) findings.push(`indirect ${name}`);
    } else if (name.startsWith("j")) {
      // A loop: backwards, on the comparison or decrement of a counter just before.
      const before = code.slice(Math.max(0, i - 12), i).reverse();
      const flags = before.find((one) => /^(cmp|sub|dec|add|test)/.test(one.name));
      const counter =
        flags !== undefined && /^(dec|(cmp|sub|add) *\$)/.test(`${flags.name} ${flags.operands}`);
      const backwards = Number.parseInt(operands, 16) < at;
      findings.push(backwards && counter ? "loop" : `jump ${name} ${operands}`);
    } else if (/gather|scatter/.test(name)) findings.push(name);
    else if (/^(i?div)/.test(name)) findings.push(name);
    else if (/\([^)]*,[^)]*\)/.test(operands) && !/^(lea|nop|data16|cs)/.test(name)) {
      findings.push(`indexed ${name}`);
    }
  }
  return findings;
}

describe.skipIf(skipped)("the compiled ladder", () => {
  test.each([
    ["ifma.c", ifma],
    ["avx512.c", [...tuning, "-mavx512f", "-mtune=icelake-server"]],
    ["avx2.c", [...tuning, "-mavx2"]],
    ["portable.c", []],
  ] as const)(
    "of %s has two loops, and reads the scalar by a public index",
    (file, flags) => {
      const code = instructionsOf(compile(file, flags), "ladder");
      expect(code.length).toBeGreaterThan(500);
      // The loop over 251 bits, the one over the last three; scalar[i >> 3].
      expect(findingsIn(code).sort()).toEqual(["indexed movzbl", "loop", "loop"]);
    },
    60_000,
  );

  test("of portable.c calls nothing but the doubling, which has no jump at all", () => {
    const object = compile("portable.c", []);
    expect(findingsIn(instructionsOf(object, "twice"))).toEqual([]);
  }, 60_000);

  test("with a branch on a bit is found out", async () => {
    const { writeFileSync } = await import("node:fs");
    const source = join(directory, "leaky.c");
    writeFileSync(
      source,
      `#include <stdint.h>
      uint64_t f(uint64_t); uint64_t g(uint64_t);
      __attribute__((noinline, used)) uint64_t ladder(const uint8_t *k, uint64_t x) {
        for (int i = 253; i >= 3; i--) x = (k[i >> 3] >> (i & 7)) & 1 ? f(x) : g(x);
        return x;
      }`,
    );
    const object = join(directory, "leaky.o");
    expect(spawnSync("cc", [...common, "-c", source, "-o", object]).status).toBe(0);
    const findings = findingsIn(instructionsOf(object, "ladder"));
    expect(findings.filter((one) => one.startsWith("jump")).length).toBeGreaterThan(0);
  });
});
