/**
 * Two parties as users run them, with canaries in their tables: nothing of an item and nothing of a
 * key may be in what they print, in what they leave behind, or on the wire.
 */
import { spawn } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { filesIn, freePort, freshDirectory } from "./support.ts";

const cli = join(fileURLToPath(import.meta.resolve("@vivarium/cli")), "../main.js");

interface Finished {
  readonly exit: number | null;
  readonly out: string;
  readonly err: string;
}

function vivarium(args: readonly string[], temporary: string): Promise<Finished> {
  const child = spawn(process.execPath, [cli, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { PATH: "/usr/bin:/bin", TMPDIR: temporary, LANG: "C.UTF-8", VIVARIUM_DEBUG: "1" },
  });
  let out = "";
  let err = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    err += text;
  });
  return new Promise((resolve) => child.on("close", (exit) => resolve({ exit, out, err })));
}

/** Passes bytes on between a port of its own and `port`, and keeps all of them. */
async function wiretap(port: number) {
  const seen: Buffer[] = [];
  const open = new Set<Socket>();
  const server = createServer((inner) => {
    const outer = connect(port, "127.0.0.1");
    for (const [from, to] of [
      [inner, outer],
      [outer, inner],
    ] as const) {
      open.add(from);
      from.on("data", (bytes: Buffer) => {
        seen.push(Buffer.from(bytes));
        to.write(bytes);
      });
      from.on("close", () => to.destroy());
      from.on("error", () => to.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address() as { readonly port: number };
  return {
    port: address.port,
    bytes: () => Buffer.concat(seen),
    close: () => {
      for (const socket of open) socket.destroy();
      server.close();
    },
  };
}

const item = (i: number): string => `canary-item-${i}-qzxv@example.org`;
const cell = (i: number, who: string): string => `canary-cell-${who}-${i}-wjkp`;

function configOf(role: string, where: string, output: string): string {
  return [
    "version: 1",
    "workload: psi",
    `role: ${role}`,
    `policy: ${role}.policy.yaml`,
    where,
    "evidence: simulated",
    "input:",
    `  path: ${role}.csv`,
    "  keys:",
    "    - columns: [mail]",
    "      normalise: [trim, lower]",
    output,
    "mode: intersection",
    "resultTo: receiver",
    `receipt: ${role}.receipt`,
    "timeoutSeconds: 60",
    "",
  ].join("\n");
}

/** Every form in which bytes show up in text. */
function forms(secret: Buffer): string[] {
  return ["hex", "base64url", "base64"].map((encoding) =>
    secret
      .toString(encoding as BufferEncoding)
      .replace(/=+$/, "")
      // The last characters of base64 depend on what follows.
      .slice(0, -2),
  );
}

test("no item, cell or key in output, files or traffic of a run", async () => {
  const directory = freshDirectory();
  const temporary = join(directory, "tmp");
  mkdirSync(temporary);
  const file = (name: string): string => join(directory, name);
  const roles = ["receiver", "sender"] as const;
  const printed: string[] = [];
  const must = async (...args: string[]): Promise<void> => {
    const { exit, out, err } = await vivarium([...args, "--verbose"], temporary);
    expect(exit, err).toBe(0);
    printed.push(out, err);
  };
  for (const [i, role] of roles.entries()) {
    const rows = Array.from({ length: 40 }, (_, k) => `${item(k + 20 * i)},${cell(k, role)}`);
    writeFileSync(file(`${role}.csv`), `mail,note\n${rows.join("\n")}\n`);
    await must("identity", "create", role, "--state", file(role));
    await must("identity", "export", role, "--state", file(role), "--output", file(`${role}.json`));
  }
  for (const [own, peer] of [roles, [...roles].reverse()]) {
    const output = file(`${own}.policy.yaml`);
    await must(
      "policy",
      "init",
      "--peer",
      file(`${peer}.json`),
      "--role",
      `${peer}`,
      "--output",
      output,
    );
  }
  const port = await freePort();
  const tap = await wiretap(port);
  writeFileSync(
    file("receiver.yaml"),
    configOf("receiver", `listen: 127.0.0.1:${port}`, "output:\n  path: common.csv\n  format: csv"),
  );
  writeFileSync(
    file("sender.yaml"),
    configOf("sender", `connect: 127.0.0.1:${tap.port}`, "# learns nothing"),
  );
  const run = (role: string, ...more: string[]) =>
    vivarium(
      ["psi", "run", "--config", file(`${role}.yaml`), "--state", file(role), "--verbose", ...more],
      temporary,
    );
  const ends = await Promise.all([run("receiver", "--json"), run("sender")]);
  tap.close();
  for (const { exit, out, err } of ends) {
    expect(exit, err).toBe(0);
    printed.push(out, err);
  }
  expect(JSON.parse(ends[0].out)).toMatchObject({ matches: 20 });
  // The control: canaries are where they belong, so that a search can find them.
  expect(readFileSync(file("common.csv"), "utf8")).toContain(item(25));

  // What stays behind: no temporary file, and state that holds keys only.
  expect(filesIn(temporary)).toEqual([]);
  for (const role of roles) {
    const state = await vivarium(["state", "show", "--state", file(role), "--json"], temporary);
    printed.push(state.out, state.err);
  }

  const keyFiles = roles.flatMap((role) =>
    filesIn(file(role))
      .filter((name) => name.endsWith(".key"))
      .map((name) => readFileSync(join(file(role), name))),
  );
  expect(keyFiles.length).toBeGreaterThanOrEqual(4);
  const publicFiles = readdirSync(directory)
    .filter((name) => /\.(json|receipt|yaml)$/.test(name) && !name.endsWith(".opening.json"))
    .map((name) => readFileSync(file(name)));
  expect(publicFiles.length).toBeGreaterThanOrEqual(8);
  const wire = tap.bytes();
  expect(wire.length).toBeGreaterThan(5_000);

  const places = {
    printed: Buffer.from(printed.join("\n")),
    files: Buffer.concat(publicFiles),
    wire,
  };
  const needles = [
    ...Array.from({ length: 60 }, (_, i) => item(i)),
    ...Array.from({ length: 40 }, (_, i) => cell(i, "receiver")),
    ...Array.from({ length: 40 }, (_, i) => cell(i, "sender")),
    ...forms(Buffer.from(item(25))),
    "qzxv",
    "wjkp",
    "PRIVATE KEY",
  ].map((text) => Buffer.from(text));
  // PKCS #8 of P-256, Ed25519 and X25519 begins with one of these.
  const pkcs8 = ["308187020100301306072a8648ce3d0201", "302e020100300506032b65"].map((hex) =>
    Buffer.from(hex, "hex"),
  );
  const secrets = keyFiles.flatMap((content) => {
    const pem = /-----BEGIN [A-Z ]+-----([^-]+)-----END/.exec(content.toString("latin1"))?.[1];
    const der = pem === undefined ? content : Buffer.from(pem, "base64");
    // Bytes 36 to 68 of a P-256 key in PKCS #8 are the scalar.
    return [der, der.subarray(36, 68)].filter(({ length }) => length >= 32);
  });
  expect(secrets.length).toBeGreaterThanOrEqual(8);
  const hidden = [
    ...needles,
    ...pkcs8,
    ...pkcs8.flatMap((bytes) => forms(bytes).map((text) => Buffer.from(text))),
    ...secrets,
    ...secrets.flatMap((bytes) => forms(bytes).map((text) => Buffer.from(text))),
  ];
  for (const [place, content] of Object.entries(places)) {
    const found = hidden.filter((needle) => content.includes(needle));
    expect(
      found.map((needle) => needle.toString("latin1")),
      place,
    ).toEqual([]);
  }
});
