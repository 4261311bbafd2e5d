/**
 * Compiles the native kernel with the system's C compiler against the headers of `node-api-headers`
 * (node-gyp would fetch Node's). It never fails: without a compiler the next engine is used, and one line
 * says so.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(import.meta.dirname), "packages", "curve25519");
const sources = join(root, "native");
const target = join(root, "dist", "native", "curve25519.node");
const headers = join(dirname(fileURLToPath(import.meta.resolve("node-api-headers"))), "include");

/** Fewer values in registers at once: 3 % of the IFMA kernel's time, half of the others'. gcc's own. */
const tuning = ["-fschedule-insns", "-fsched-pressure"];

/** Each instruction set is a file of its own with flags of its own; the rest runs anywhere. */
const units: readonly {
  readonly file: string;
  readonly flags: readonly string[];
  readonly tuned?: boolean;
}[] = [
  { file: "addon.c", flags: [] },
  { file: "portable.c", flags: [] },
  { file: "records.c", flags: [] },
  { file: "sha256.c", flags: [] },
  ...(process.arch === "x64"
    ? [
        {
          file: "ifma.c",
          flags: ["-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512ifma", "-mtune=icelake-server"],
          tuned: true,
        },
        { file: "avx512.c", flags: ["-mavx512f", "-mtune=icelake-server"], tuned: true },
        { file: "avx2.c", flags: ["-mavx2"], tuned: true },
        { file: "sha256x16.c", flags: ["-mavx512f", "-mavx512bw"] },
        { file: "sha256ni.c", flags: ["-msha", "-msse4.1"] },
      ]
    : []),
];
const inputs = [
  ...units.map(({ file }) => file),
  "kernel.h",
  "lanes10.h",
  "records.h",
  "sha256.h",
  "sha512x8.h",
];

function upToDate(): boolean {
  if (!existsSync(target)) return false;
  const built = statSync(target).mtimeMs;
  const files = [...inputs.map((file) => join(sources, file)), import.meta.filename];
  return files.every((file) => statSync(file).mtimeMs < built);
}

function compile(): string | undefined {
  const work = mkdtempSync(join(root, "dist", ".native-"));
  try {
    const objects: string[] = [];
    for (const { file, flags, tuned = false } of units) {
      const object = join(work, file.replace(/\.c$/, ".o"));
      // The same bytes from any directory: the library is measured.
      const common = ["-O3", "-std=gnu11", "-fPIC", "-fvisibility=hidden", "-Wall", "-Wextra"];
      const paths = [`-ffile-prefix-map=${root}=.`, `-I${headers}`];
      const rest = [...common, ...flags, ...paths, "-c", join(sources, file), "-o", object];
      // Another compiler may not know them.
      let problem = run([...(tuned ? tuning : []), ...rest]);
      if (problem !== undefined && tuned) problem = run(rest);
      if (problem !== undefined) return problem;
      objects.push(object);
    }
    const link =
      process.platform === "darwin"
        ? ["-bundle", "-undefined", "dynamic_lookup"]
        : ["-shared", "-s", "-Wl,--build-id=none"];
    const built = join(work, "curve25519.node");
    const problem = run([...link, ...objects, "-o", built]);
    if (problem !== undefined) return problem;
    mkdirSync(dirname(target), { recursive: true });
    renameSync(built, target);
    return undefined;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}

function run(args: readonly string[]): string | undefined {
  const { status, stderr, error } = spawnSync("cc", args, { encoding: "utf8", cwd: root });
  if (error !== undefined) return "there is no C compiler (cc)";
  if (status === 0) return undefined;
  return `cc failed: ${stderr.split("\n").find((line) => /error/.test(line)) ?? "no message"}`;
}

if (process.platform === "win32") {
  console.log("curve25519: no native kernel on Windows; node:crypto is used.");
} else if (!upToDate()) {
  mkdirSync(join(root, "dist"), { recursive: true });
  const problem = compile();
  console.log(
    problem === undefined
      ? "curve25519: native kernel compiled."
      : `curve25519: no native kernel, node:crypto is used: ${problem}.`,
  );
}
