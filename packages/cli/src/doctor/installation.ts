/** The installed psi bundle and the state directory. */
import { toHex, VivariumError } from "@vivarium/core";
import type { Io } from "../io.ts";
import { measurePsi } from "../psi/bundle.ts";
import { openState, statePath } from "../state.ts";
import { type Check, check } from "./check.ts";

export async function installationChecks(
  io: Io,
  option: string | undefined,
): Promise<readonly Check[]> {
  return await Promise.all([bundleCheck(), stateCheck(statePath(io, option))]);
}

async function bundleCheck(): Promise<Check> {
  try {
    const { code } = await measurePsi();
    return check("bundle.psi", "ok", `code ${toHex(code)}`);
  } catch (error) {
    if (!(error instanceof VivariumError)) throw error;
    return check("bundle.psi", "fail", error.message, "Build it with `npm run build`.");
  }
}

async function stateCheck(path: string): Promise<Check> {
  try {
    const state = await openState(path, { create: false });
    const names = await state.identityNames();
    return check(
      "state",
      "ok",
      path,
      `Identities: ${names.length === 0 ? "none" : names.join(", ")}`,
    );
  } catch (error) {
    if (!(error instanceof VivariumError)) throw error;
    return error.code === "not-found"
      ? check("state", "info", `${path} (none yet)`, "Made by `vivarium identity create NAME`.")
      : check("state", "fail", error.message);
  }
}
