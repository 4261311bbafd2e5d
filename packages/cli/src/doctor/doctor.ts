/** What `doctor` does: runs every look at the machine, and fails if a required one does. */
import { join } from "node:path";
import type { Action } from "../command.ts";
import { statePath } from "../state.ts";
import type { Check, CheckStatus } from "./check.ts";
import { deviceChecks } from "./devices.ts";
import { engineChecks } from "./engines.ts";
import { installationChecks } from "./installation.ts";
import { isolationChecks } from "./isolation.ts";
import { runtimeChecks } from "./runtime.ts";

const marks: Readonly<Record<CheckStatus, string>> = {
  ok: "ok",
  info: "-",
  warn: "WARN",
  fail: "FAIL",
};

export const doctor: Action<{ state?: string }> = async (context, options) => {
  const groups = await Promise.all([
    runtimeChecks(context.io.now()),
    engineChecks(),
    isolationChecks(),
    deviceChecks(join(statePath(context.io, options.state), "programs"), context.io.env),
    installationChecks(context.io, options.state),
  ]);
  const checks: readonly Check[] = groups.flat();
  const failed = checks.filter(({ status }) => status === "fail").length;
  const warned = checks.filter(({ status }) => status === "warn").length;
  const width = Math.max(...checks.map(({ name }) => name.length));
  context.print({ ok: failed === 0, failed, warned, checks: checks.map((each) => ({ ...each })) }, [
    ...checks.flatMap(({ name, status, found, detail }) => [
      `${marks[status].padEnd(4)}  ${name.padEnd(width)}  ${found}`,
      ...(detail === "" ? [] : [`      ${" ".repeat(width)}  ${detail}`]),
    ]),
    `${failed} failed, ${warned} with less than could be.`,
  ]);
  return failed === 0 ? 0 : 1;
};
