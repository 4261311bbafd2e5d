/** What `identity create`, `show` and `export` do. */
import { toBase64Url, toHex } from "@vivarium/core";
import type { Action, Context } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { measureFederated } from "../federated/bundle.ts";
import { writeNew } from "../files.ts";
import { type Measurements, measurePsi } from "../psi/bundle.ts";
import { measureServing } from "../serving/bundle.ts";
import { createIdentity, type Identity, openIdentity, openRoot, spoken } from "./open.ts";
import type { Party } from "./party.ts";

export const create: Action<{ algorithm: "ES256" | "EdDSA" }> = async (
  context,
  { algorithm },
  name = "",
) => {
  const state = await context.state({ create: true });
  const identity = await createIdentity(state, name, algorithm);
  const root = await openRoot(state);
  context.print(
    {
      name,
      algorithm: identity.signer.algorithm,
      fingerprint: identity.fingerprint,
      root: root.fingerprint,
      simulated: true,
      state: state.path,
    },
    [
      `Created the identity ${name} in ${state.path}.`,
      ...block("Identity", identity.fingerprint),
      `Next: vivarium identity export ${name}`,
    ],
  );
  return 0;
};

export const show: Action<object> = async (context, _options, name) => {
  const { identity, root, measured } = await describe(context, name);
  context.print(
    {
      name: identity.name,
      algorithm: identity.signer.algorithm,
      fingerprint: identity.fingerprint,
      root,
      simulated: true,
      psi: measured === undefined ? null : hex(measured),
    },
    [
      `Party ${identity.name}. Read these out to your peer, on a number that you already had:`,
      ...block("Identity", identity.fingerprint),
      ...block("Development root (simulated: no hardware vouches for it)", root),
      ...(measured === undefined
        ? ["Code: the psi bundle is not installed; build it with `npm run build`."]
        : [
            ...block("Code of the psi worker", toHex(measured.code)),
            ...block("Runtime (Node executable)", toHex(measured.runtime)),
            ...block("Flags", toHex(measured.flags)),
          ]),
    ],
  );
  return 0;
};

export const exportParty: Action<{ output?: string }> = async (context, options, name) => {
  const state = await context.state({ create: false });
  const identity = await openIdentity(state, name);
  const root = await openRoot(state);
  const psi = hex(await measurePsi());
  const federated = hex(await measureFederated());
  const serving = hex(await measureServing());
  const party: Party = {
    version: 1,
    name: identity.name,
    identity: {
      fingerprint: identity.fingerprint,
      publicKey: toBase64Url(identity.signer.publicKey),
    },
    attestation: { type: "simulated", root: root.fingerprint },
    workloads: { psi, federated, serving },
  };
  const file = context.path(options.output ?? `${identity.name}.party.json`);
  await writeNew(file, "party file", `${JSON.stringify(party, null, 2)}\n`);
  context.print({ file, party: { ...party, workloads: { psi, federated, serving } } }, [
    `Wrote ${file}. Send it to your peer, then compare by voice:`,
    ...block("Identity", identity.fingerprint),
    ...block("Development root (simulated: no hardware vouches for it)", root.fingerprint),
    ...block("Code of the psi worker", psi.code),
    ...block("Code of the federated worker", federated.code),
    ...block("Code of the serving worker", serving.code),
  ]);
  return 0;
};

async function describe(
  context: Context,
  name: string | undefined,
): Promise<{ identity: Identity; root: string; measured: Measurements | undefined }> {
  const state = await context.state({ create: false });
  const identity = await openIdentity(state, name);
  const root = await openRoot(state);
  let measured: Measurements | undefined;
  try {
    measured = await measurePsi();
  } catch (error) {
    // A party without the bundle can still be asked for its fingerprint.
    if (!(error instanceof CliError && error.code === "bad-installation")) throw error;
    context.note(error.message);
  }
  return { identity, root: root.fingerprint, measured };
}

function hex(measured: Measurements): { code: string; runtime: string; flags: string } {
  return {
    code: toHex(measured.code),
    runtime: toHex(measured.runtime),
    flags: toHex(measured.flags),
  };
}

function block(title: string, digest: string): readonly string[] {
  return [`${title}:`, ...spoken(digest).map((line) => `  ${line}`)];
}
