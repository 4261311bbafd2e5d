import type { Command } from "commander";
import { describe, expect, it } from "vitest";
import { createProgram, run } from "../src/program.ts";
import { createCli, errorLine, fakeIo, temporaryDirectory } from "./support.ts";

function everyCommand(): readonly (readonly string[])[] {
  const { io } = fakeIo("/");
  const found: string[][] = [];
  const visit = (command: Command, path: readonly string[]): void => {
    found.push([...path]);
    for (const child of command.commands) visit(child, [...path, child.name()]);
  };
  visit(createProgram({ io, run, outcome: { exit: 0 } }, "0.0.0"), []);
  return found;
}

const leaves = everyCommand().filter((path) => {
  const all = everyCommand();
  return (
    path.length > 0 &&
    !all.some((p) => p.length > path.length && p[0] === path[0] && path.length === 1)
  );
});

describe("help", () => {
  it.each(everyCommand())("of %j %j has an example", async (...path) => {
    const { io, printed } = fakeIo("/");
    expect(await run([...path, "--help"], io)).toBe(0);
    const { out, err } = printed();
    expect(out).toMatch(/\nExample:\n {2}\$ vivarium /);
    expect(err).toBe("");
  });

  it.each(leaves)("of %j %j offers --json, --state and --verbose", async (...path) => {
    const { io, printed } = fakeIo("/");
    await run([...path, "--help"], io);
    for (const option of ["--json", "--state <dir>", "--verbose"]) {
      expect(printed().out).toContain(option);
    }
  });

  it("lists no hidden command", async () => {
    const { out } = await createCli().run("--help", "--state", "x");
    expect(out).not.toMatch(/^ {2}errors/m);
  });
});

describe("the command line", () => {
  const wrong: readonly (readonly string[])[] = [
    [],
    ["nonsense"],
    ["identity"],
    ["identity", "nonsense"],
    ["--nonsense"],
    ["psi", "run"],
    ["psi", "run", "--config"],
    ["psi", "demo", "extra"],
    ["policy", "init"],
    ["policy", "init", "--peer", "x", "--role", "king"],
    ["policy", "check"],
    ["evidence", "collect", "--report-data", "00"],
    ["identity", "create", "a", "--algorithm", "RSA"],
    ["receipt", "verify"],
    ...leaves.map((path) => [...path, "--nonsense"]),
  ];

  it.each(wrong)("is refused in one line, with exit code 2: %j %j %j", async (...args) => {
    const { io, printed } = fakeIo("/");
    expect(await run(args, io)).toBe(2);
    const { out, err } = printed();
    expect(out).toBe("");
    expect(err).toMatch(errorLine);
    expect(err).toContain("error[cli/usage]");
    expect(err).not.toContain("    at ");
  });

  it("names the commands there are", async () => {
    const { io, printed } = fakeIo("/");
    await run(["nonsense"], io);
    expect(printed().err).toContain("There is no command nonsense; there are identity, policy,");
    expect(printed().err).not.toContain("errors");
  });

  it("prints its version", async () => {
    const { io, printed } = fakeIo("/");
    expect(await run(["--version"], io)).toBe(0);
    expect(printed().out).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  it("gives errors of the command line as data, too", async () => {
    const { io, printed } = fakeIo("/");
    expect(await run(["psi", "run", "--json"], io)).toBe(2);
    expect(JSON.parse(printed().err)).toMatchObject({ error: { id: "cli/usage", exit: 2 } });
  });

  it("reports an interruption as such", async () => {
    const directory = temporaryDirectory();
    const { io, printed } = fakeIo(directory, { answer: "yes" });
    const stopped = new AbortController();
    const cli = { ...io, signal: stopped.signal };
    await run(["identity", "create", "a", "--state", "s"], cli);
    const ask = async (): Promise<string> => {
      stopped.abort();
      throw new Error("stopped");
    };
    expect(await run(["state", "wipe", "--state", "s"], { ...cli, ask })).toBe(1);
    expect(printed().err).toContain("error[cli/interrupted]");
  });
});
