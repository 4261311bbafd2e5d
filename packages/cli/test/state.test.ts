import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openState, statePath } from "../src/state.ts";
import { createCli, errorLine, temporaryDirectory } from "./support.ts";

const refusal = (code: string) => expect.objectContaining({ domain: "cli", code });

describe("statePath", () => {
  const at = (env: Record<string, string>, option?: string) =>
    statePath({ env, cwd: "/srv" }, option);

  it("is the option, then XDG_STATE_HOME, then below HOME", () => {
    expect(at({ XDG_STATE_HOME: "/x", HOME: "/h" }, "s")).toBe("/srv/s");
    expect(at({ XDG_STATE_HOME: "/x", HOME: "/h" })).toBe("/x/vivarium");
    expect(at({ HOME: "/h" })).toBe("/h/.local/state/vivarium");
  });

  it("ignores a relative XDG_STATE_HOME, as the specification says", () => {
    expect(at({ XDG_STATE_HOME: "x", HOME: "/h" })).toBe("/h/.local/state/vivarium");
  });
});

describe("openState", () => {
  it("makes a directory for its owner only, whatever the umask", async () => {
    const path = join(temporaryDirectory(), "a/b");
    const before = process.umask(0);
    try {
      await openState(path, { create: true });
    } finally {
      process.umask(before);
    }
    expect(statSync(path).mode & 0o777).toBe(0o700);
    expect(statSync(join(path, "vivarium-state.json")).mode & 0o777).toBe(0o600);
    await expect(openState(path, { create: false })).resolves.toMatchObject({ path });
  });

  it("says not-found for what is not there, unless it may make it", async () => {
    const path = join(temporaryDirectory(), "none");
    await expect(openState(path, { create: false })).rejects.toThrow(refusal("not-found"));
  });

  it.each([0o701, 0o710, 0o750, 0o704, 0o777])("refuses mode %o", async (mode) => {
    const path = join(temporaryDirectory(), "s");
    await openState(path, { create: true });
    chmodSync(path, mode);
    for (const create of [true, false]) {
      await expect(openState(path, { create })).rejects.toThrow(refusal("unsafe-permissions"));
    }
  });

  it.skipIf(process.getuid?.() !== 0)("refuses a directory of another user", async () => {
    const path = join(temporaryDirectory(), "s");
    await openState(path, { create: true });
    chownSync(path, 12_345, 12_345);
    const opened = openState(path, { create: false });
    await expect(opened).rejects.toThrow(refusal("unsafe-permissions"));
  });

  it("refuses links, files and directories with something else in them", async () => {
    const directory = temporaryDirectory();
    const real = join(directory, "real");
    await openState(real, { create: true });
    symlinkSync(real, join(directory, "link"));
    writeFileSync(join(directory, "file"), "");
    const other = join(directory, "other");
    mkdirSync(other, { mode: 0o700 });
    writeFileSync(join(other, "thesis.doc"), "");
    for (const name of ["link", "other"]) {
      const opened = openState(join(directory, name), { create: true });
      await expect(opened).rejects.toThrow(refusal("not-a-state"));
    }
    await expect(openState(join(directory, "file"), { create: false })).rejects.toThrow(
      refusal("not-a-state"),
    );
  });

  it("may be opened for the first time twice at once", async () => {
    const path = join(temporaryDirectory(), "s");
    const opened = await Promise.all([1, 2, 3].map(() => openState(path, { create: true })));
    expect(opened).toHaveLength(3);
  });
});

describe("state", () => {
  it("show lists files with their modes, and no content", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "alice");
    const { out, exit } = await cli.run("state", "show");
    expect(exit).toBe(0);
    expect(out).toMatch(/0600 .* identities\/alice\.key/);
    expect(out).toContain("Identities: alice");
    expect(out).not.toContain("PRIVATE KEY");
    expect((await cli.json("state", "show")).value).toMatchObject({
      identities: ["alice"],
      files: [
        { path: "development-root.key", mode: "0600" },
        { path: "identities/alice.key", mode: "0600" },
        { path: "vivarium-state.json" },
      ],
    });
  });

  it("wipe removes it all with --yes", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "alice");
    const { exit, value } = await cli.json("state", "wipe", "--yes");
    expect(exit).toBe(0);
    expect(value).toMatchObject({ wiped: true, identities: ["alice"] });
    expect(readdirSync(cli.directory)).toEqual([]);
  });

  it.each([
    ["yes", 0],
    [" YES ", 0],
    ["y", 2],
    ["", 2],
    ["no", 2],
  ])("wipe takes the answer %j with exit code %i", async (answer, exit) => {
    const cli = createCli({ answer });
    await cli.run("identity", "create", "alice");
    expect((await cli.run("state", "wipe")).exit).toBe(exit);
    expect(existsSync(join(cli.directory, "state"))).toBe(exit !== 0);
  });

  it("wipe does nothing where nobody can answer", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "alice");
    const { exit, err } = await cli.run("state", "wipe");
    expect(exit).toBe(2);
    expect(err).toMatch(errorLine);
    expect(err).toContain("error[cli/not-confirmed]");
    expect(err).toContain("Nobody can answer here.");
    expect((await cli.run("identity", "show")).exit).toBe(0);
  });

  it("wipe leaves everything where somebody else's file is", async () => {
    const cli = createCli();
    await cli.run("identity", "create", "alice");
    writeFileSync(join(cli.directory, "state/thesis.doc"), "mine");
    const { value } = await cli.json("state", "wipe", "--yes");
    expect(value).toMatchObject({ error: { id: "cli/not-a-state" } });
    expect(existsSync(join(cli.directory, "state/thesis.doc"))).toBe(true);
    expect(existsSync(join(cli.directory, "state/identities/alice.key"))).toBe(true);
  });

  it("wipe refuses a directory that is no state", async () => {
    const cli = createCli();
    mkdirSync(join(cli.directory, "state"), { mode: 0o700 });
    writeFileSync(join(cli.directory, "state/development-root.key"), "not ours");
    const { value } = await cli.json("state", "wipe", "--yes");
    expect(value).toMatchObject({ error: { id: "cli/not-a-state" } });
    expect(existsSync(join(cli.directory, "state/development-root.key"))).toBe(true);
  });
});
