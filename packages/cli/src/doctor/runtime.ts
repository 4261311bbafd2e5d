/** Node, OpenSSL, the processor and memory. */
import { readFile } from "node:fs/promises";
import { availableParallelism, cpus, totalmem } from "node:os";
import { type Check, check } from "./check.ts";

/** Lowest version that is tested: `engines` of package.json. */
const lowest = [20, 19] as const;

/** End of life of Node's lines. Source: https://github.com/nodejs/release#release-schedule */
const endOfLife: Readonly<Record<number, string>> = {
  20: "2026-04-30",
  22: "2027-04-30",
  24: "2028-04-30",
};

/** End of OpenSSL's support. Source: https://openssl-library.org/policies/releasestrat/ */
const opensslEnd: Readonly<Record<string, string>> = {
  "3.0": "2026-09-07",
  "3.5": "2030-04-08",
};

/** Flags that cryptography here uses: vector units, carry chains, AES and SHA instructions. */
const wanted: Readonly<Record<string, readonly string[]>> = {
  x64: ["aes", "sha_ni", "bmi2", "adx", "avx2", "avx512ifma"],
  arm64: ["aes", "sha2", "sha512", "pmull", "asimd", "sve"],
};

export async function runtimeChecks(now: number): Promise<readonly Check[]> {
  const gibibytes = totalmem() / 1024 ** 3;
  return [
    nodeCheck(process.versions.node, now),
    opensslCheck(process.versions["openssl"] ?? "absent", now),
    check(
      "platform",
      process.platform === "linux" ? "ok" : "warn",
      `${process.platform} ${process.arch}`,
      process.platform === "linux" ? "" : "Trust domains are launched on Linux only.",
    ),
    check(
      "cpu",
      "info",
      `${cpus()[0]?.model.trim() ?? "unknown"}, ${availableParallelism()} threads`,
    ),
    featureCheck(await processorFlags()),
    check(
      "memory",
      gibibytes >= 2 ? "ok" : "warn",
      `${gibibytes.toFixed(1)} GiB`,
      gibibytes >= 2 ? "" : "A million items on each side need 2 GiB per party.",
    ),
  ];
}

export function nodeCheck(version: string, now: number): Check {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [lowestMajor, lowestMinor] = lowest;
  if (major < lowestMajor || (major === lowestMajor && minor < lowestMinor)) {
    return check("node", "fail", version, `Needs at least ${lowest.join(".")}; use Node 24.`);
  }
  return supported("node", version, endOfLife[major], now, "Use Node 24 (long-term support).");
}

export function opensslCheck(version: string, now: number): Check {
  const end = opensslEnd[version.split(".").slice(0, 2).join(".")];
  return supported("openssl", version, end, now, "It comes with Node: use Node 24.");
}

function supported(
  name: string,
  version: string,
  end: string | undefined,
  now: number,
  advice: string,
): Check {
  if (end === undefined) {
    return check(name, "info", version, "How long this line is supported is not known here.");
  }
  return now > Date.parse(`${end}T23:59:59Z`)
    ? check(name, "warn", version, `Works; its security support ended on ${end}. ${advice}`)
    : check(name, "ok", version, `Supported until ${end}.`);
}

function featureCheck(flags: ReadonlySet<string>): Check {
  const names = wanted[process.arch] ?? [];
  if (flags.size === 0) return check("cpu.features", "info", "not known on this platform");
  const present = names.filter((name) => flags.has(name));
  const absent = names.filter((name) => !flags.has(name));
  return check(
    "cpu.features",
    "info",
    present.length === 0 ? "none of those that are used" : present.join(" "),
    absent.length === 0 ? "" : `Absent: ${absent.join(" ")}; OpenSSL falls back to slower code.`,
  );
}

async function processorFlags(): Promise<ReadonlySet<string>> {
  try {
    const text = await readFile("/proc/cpuinfo", "utf8");
    const line = /^(?:flags|Features)\s*:\s*(.*)$/m.exec(text)?.[1] ?? "";
    return new Set(line.split(/\s+/).filter((flag) => flag !== ""));
  } catch {
    return new Set();
  }
}
