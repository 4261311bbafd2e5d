/** What `file keygen` does. */
import type { Action } from "../command.ts";
import { createFileKey } from "./key.ts";

export const keygen: Action<object> = async (context, _options, output = "") => {
  const path = context.path(output);
  const name = await createFileKey(path);
  context.print({ file: path, name }, [
    `Wrote ${output} (mode 0600); sealed files name it ${name}.`,
    "Without it they cannot be opened: keep a copy where an attacker of this machine does not reach.",
  ]);
  return 0;
};
