/** The yardstick of the curve: OpenSSL's own benchmark. */
import { spawnSync } from "node:child_process";

/** The last column of `openssl speed`, operations per second, or undefined without the program. */
export function opensslRate(): number | undefined {
  const { stdout, status } = spawnSync("openssl", ["speed", "-seconds", "1", "ecdhx25519"], {
    encoding: "utf8",
  });
  const line = status === 0 ? stdout.split("\n").find((one) => one.includes("(X25519)")) : "";
  const rate = Number(line?.trim().split(/\s+/).at(-1));
  return rate > 0 ? rate : undefined;
}
