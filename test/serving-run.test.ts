/** `vivarium model seal`, `serving run` and `serving predict` as users type them. */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { encodeLinear, encodeNpy } from "@vivarium/tensors";
import { expect, test } from "vitest";
import { freePort, freshDirectory } from "./support.ts";

const main = fileURLToPath(new URL("../packages/cli/dist/main.js", import.meta.url));

test("a model is sealed, served over both ways, asked, and swapped", async () => {
  const directory = freshDirectory();
  const run = (...args: string[]) => {
    const { status, stdout, stderr } = spawnSync(process.execPath, [main, ...args], {
      cwd: directory,
      encoding: "utf8",
    });
    return { exit: status, out: stdout, err: stderr };
  };
  const must = (...args: string[]): string => {
    const { exit, out, err } = run(...args);
    if (exit !== 0) throw new Error(`${args.join(" ")}: ${err}`);
    return out;
  };
  must("identity", "create", "host", "--state", "host");
  must("identity", "export", "host", "--state", "host", "--output", "host.party.json");
  must(
    "policy",
    "init",
    "--workload",
    "serving",
    "--role",
    "server",
    "--peer",
    "host.party.json",
    "--output",
    "server.policy.yaml",
  );
  const parameters = new Float32Array([0, 0, 1, 1, 0, 0.5]);
  writeFileSync(
    join(directory, "m.safetensors"),
    encodeLinear("t", { classes: 2, features: 2, input: "numbers", parameters }),
  );
  const seal = [
    "model",
    "seal",
    "m.safetensors",
    "--repository",
    "models",
    "--name",
    "sum",
    "--key",
    "model.key",
  ];
  const { digest } = JSON.parse(
    must(...seal, "--model-version", "1", "--create-key", "--json"),
  ) as { digest: string };
  expect(must("model", "list", "--repository", "models")).toBe("sum version 1\n");
  const port = await freePort();
  const restPort = await freePort();
  writeFileSync(
    join(directory, "server.yaml"),
    `version: 1\nworkload: serving\nlisten: 127.0.0.1:${port}\nrest: 127.0.0.1:${restPort}\nrepository: models\nmodelKey: model.key\npollSeconds: 0.1\nevidence: simulated\n`,
  );
  const server = spawn(
    process.execPath,
    [main, "serving", "run", "--config", "server.yaml", "--state", "host", "--json"],
    {
      cwd: directory,
      stdio: ["ignore", "pipe", "pipe"],
    },
  );
  let out = "";
  server.stdout.setEncoding("utf8").on("data", (text: string) => {
    out += text;
  });
  let swapped: () => void = () => undefined;
  const whenSwapped = new Promise<void>((resolve) => {
    swapped = resolve;
  });
  const whenReady = new Promise<void>((resolve, reject) => {
    createInterface({ input: server.stderr }).on("line", (line) => {
      if (line.includes('"type":"ready"')) resolve();
      if (line.includes('"type":"unloaded"')) swapped();
    });
    server.on("exit", () => reject(new Error("the server ended early")));
  });
  const ended = new Promise<number | null>((resolve) => server.on("exit", resolve));
  await whenReady;
  try {
    const row = new Float32Array([1, 2]);
    writeFileSync(
      join(directory, "x.npy"),
      encodeNpy({ dtype: "float32", shape: [1, 2], data: new Uint8Array(row.buffer) }),
    );
    const ask = [
      "serving",
      "predict",
      "sum",
      "--server",
      `127.0.0.1:${port}`,
      "--policy",
      "server.policy.yaml",
      "--npy",
      "x.npy",
      "--json",
    ];
    const answer = JSON.parse(must(...ask, "--digest", digest, "--receipt", "answer.receipt"));
    expect(answer).toMatchObject({
      name: "sum",
      version: 1,
      digest,
      simulated: true,
      outputs: { label: [1] },
    });
    expect(answer.outputs.probabilities[1]).toBeCloseTo(1 / (1 + Math.exp(-3.5)), 4);
    expect(must("receipt", "verify", "answer.receipt")).toContain(digest);
    expect(existsSync(join(directory, "answer.receipt.opening.json"))).toBe(true);
    expect(run(...ask, "--digest", "00".repeat(32))).toMatchObject({ exit: 3 });

    // A server of other code than the policy names: nothing is asked.
    const policy = readFileSync(join(directory, "server.policy.yaml"), "utf8");
    writeFileSync(join(directory, "other.yaml"), policy.replace(/(code:\n\s+- ")\w{4}/, "$10000"));
    const refused = run(
      ...ask.map((part) => (part === "server.policy.yaml" ? "other.yaml" : part)),
    );
    expect(refused.exit).toBe(3);
    expect(refused.err + refused.out).toContain("measurement.code");

    const rest = async () => {
      const response = await fetch(`http://127.0.0.1:${restPort}/v1/models/sum:predict`, {
        method: "POST",
        body: JSON.stringify({ instances: [[1, 2]] }),
      });
      return (await response.json()) as { predictions: { label: number }[] };
    };
    expect((await rest()).predictions[0]?.label).toBe(1);
    writeFileSync(
      join(directory, "m.safetensors"),
      encodeLinear("t", {
        classes: 2,
        features: 2,
        input: "numbers",
        parameters: new Float32Array([9, 9, 0, 0, 0, 0]),
      }),
    );
    must(...seal, "--model-version", "2");
    await whenSwapped;
    expect((await rest()).predictions[0]?.label).toBe(0);
    for (const bad of [
      [],
      ["--npy", "x.npy", "--text", "x"],
      ["--npy", "none.npy"],
      ["--text", "x"],
    ]) {
      const { exit, err } = run(
        "serving",
        "predict",
        "sum",
        "--server",
        `127.0.0.1:${port}`,
        "--policy",
        "server.policy.yaml",
        ...bad,
      );
      expect(exit).toBe(2);
      expect(err.trim().split("\n")).toHaveLength(1);
    }
  } finally {
    server.kill("SIGTERM");
  }
  await ended;
  expect(out).toMatch(/"requests":\d+/);
}, 120_000);
