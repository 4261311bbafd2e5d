/** What `broker put`, `rotate`, `policy`, `revoke` and `list` do: they ask the running broker. */
import { type AdminCall, callAdmin } from "@vivarium/broker";
import { type Action, type Context, confirm, type Json } from "../command.ts";
import { loadYaml } from "../config/yaml.ts";
import { timeOf } from "../evidence/input.ts";
import { readBounded } from "../files.ts";
import { brokerPaths, type PolicyOptions, type PutOptions, type RotateOptions } from "./options.ts";

const maxSecretBytes = 256 * 1024;

async function ask(
  context: Context,
  call: AdminCall,
): Promise<{ readonly [name: string]: unknown }> {
  return await callAdmin(brokerPaths(await context.state({ create: false })).socket, call);
}

async function change(context: Context, call: AdminCall, done: string): Promise<0> {
  const info = (await ask(context, call)) as { readonly [name: string]: Json };
  context.print(info, [`${done}: ${line(info)}`]);
  return 0;
}

function line(info: { readonly [name: string]: unknown }): string {
  const { name, owner, number, revoked, expiresAt, policy } = info as {
    readonly name: string;
    readonly owner: string;
    readonly number: number;
    readonly revoked: boolean;
    readonly expiresAt: number | null;
    readonly policy: {
      readonly identity: string;
      readonly isolation: readonly string[];
      readonly accept: readonly { readonly type: string }[];
    };
  };
  const types = [...new Set(policy.accept.map(({ type }) => type))].join(", ");
  return [
    `${name} number ${number} of ${owner}`,
    ...(revoked ? ["REVOKED"] : []),
    `${policy.identity} with ${types}, isolation ${policy.isolation.join(" or ")}`,
    ...(expiresAt === null ? [] : [`until ${new Date(expiresAt).toISOString()}`]),
    ...(policy.isolation.includes("simulated") ? ["SIMULATED evidence is enough"] : []),
  ].join("; ");
}

export const put: Action<PutOptions> = async (context, options, name = "") => {
  const secret = await readBounded(context.path(options.secret), "secret", maxSecretBytes);
  const { value: policy } = await loadYaml(context.path(options.policy), "release policy");
  const { owner, expires } = options;
  const expiresAt = expires === undefined ? null : timeOf(expires, context.io.now());
  try {
    return await change(context, { do: "put", name, owner, policy, secret, expiresAt }, "Put");
  } finally {
    secret.fill(0);
  }
};

export const rotate: Action<RotateOptions> = async (context, options, name = "") => {
  const secret = await readBounded(context.path(options.secret), "secret", maxSecretBytes);
  try {
    return await change(context, { do: "rotate", name, secret }, "Rotated");
  } finally {
    secret.fill(0);
  }
};

export const policy: Action<PolicyOptions> = async (context, options, name = "") => {
  const { value } = await loadYaml(context.path(options.policy), "release policy");
  return await change(context, { do: "policy", name, policy: value }, "Policy set");
};

export const revoke: Action<{ yes?: true }> = async (context, options, name = "") => {
  await confirm(context.io, `This forgets the secret ${name} for good.`, options.yes === true);
  return await change(context, { do: "revoke", name }, "Revoked");
};

export const list: Action<object> = async (context) => {
  const { resources } = (await ask(context, { do: "list" })) as {
    readonly resources: readonly { readonly [name: string]: Json }[];
  };
  context.print({ resources }, resources.length === 0 ? ["No resources."] : resources.map(line));
  return 0;
};
