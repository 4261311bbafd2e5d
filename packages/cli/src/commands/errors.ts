/** `errors`: prints docs/errors.md. Hidden: for the build and for people offline. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";

export function registerErrors(program: Command, shell: Shell): void {
  complete(
    program
      .command("errors", { hidden: true })
      .description("print the catalogue of errors as Markdown, or with --json as data"),
    shell,
    "vivarium errors > docs/errors.md",
    async () => {
      const [{ catalogue }, { errorsDocument }] = await Promise.all([
        import("../errors/catalogue.ts"),
        import("../errors/document.ts"),
      ]);
      return async ({ io, json }) => {
        io.stdout.write(json ? `${JSON.stringify(catalogue)}\n` : errorsDocument());
        return 0;
      };
    },
  );
}
