/** `state show` and `state wipe`. */
import type { Command } from "commander";
import { type Action, complete, confirm, type Shell } from "../command.ts";
import { octal } from "../state.ts";

export function registerState(program: Command, shell: Shell): void {
  const state = program
    .command("state")
    .description("the directory with identities and the development root");

  complete(
    state.command("show").description("list what the state directory holds; no key is printed"),
    shell,
    "vivarium state show --state ./alice",
    async () => show,
  );
  complete<{ yes?: true }>(
    state
      .command("wipe")
      .description("remove the state directory, identities included")
      .option("--yes", "do not ask"),
    shell,
    "vivarium state wipe --state ./alice --yes",
    async () => wipe,
  );
}

const show: Action<object> = async (context) => {
  const state = await context.state({ create: false });
  const [identities, files] = await Promise.all([state.identityNames(), state.files()]);
  context.print(
    {
      path: state.path,
      identities,
      files: files.map((file) => ({ ...file, mode: octal(file.mode) })),
    },
    [
      `State directory ${state.path}`,
      `Identities: ${identities.length === 0 ? "none" : identities.join(", ")}`,
      ...files.map(
        (file) =>
          `  ${octal(file.mode)}  ${new Date(file.changedAt).toISOString().slice(0, 19)}Z  ${String(file.bytes).padStart(8)}  ${file.path}`,
      ),
    ],
  );
  return 0;
};

const wipe: Action<{ yes?: true }> = async (context, options) => {
  const state = await context.state({ create: false });
  const identities = await state.identityNames();
  const lost = identities.length === 0 ? "" : ` and the identities ${identities.join(", ")}`;
  await confirm(
    context.io,
    `This removes ${state.path}${lost}; peers must be given new fingerprints afterwards.`,
    options.yes === true,
  );
  await state.wipe();
  context.print({ path: state.path, wiped: true, identities }, [
    `Removed ${state.path}. The bytes may remain on the disk until they are overwritten.`,
  ]);
  return 0;
};
