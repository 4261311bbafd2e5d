/** What `broker get` does. */
import type { Attester } from "@vivarium/attestation";
import { simulatedAttester } from "@vivarium/attestation/simulated";
import { systemClock } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { kbsSource } from "@vivarium/workers/secrets";
import type { Action, Context } from "../command.ts";
import { CliError } from "../errors/error.ts";
import { evidenceLabel, evidenceSourceOf, platformAttester } from "../evidence/source.ts";
import { refuseExistingFile, writeNew } from "../files.ts";
import { openRoot } from "../identity/open.ts";
import { measurePsi } from "../psi/bundle.ts";
import type { GetOptions } from "./options.ts";

export const get: Action<GetOptions> = async (context, options, name = "") => {
  const target = context.path(options.output);
  await refuseExistingFile(target, "secret");
  const attester = await attesterOf(context, options);
  context.note(evidenceLabel(attester.type));
  const { url, pin } = options;
  if (!/^https:\/\/[^/]+\/?$/.test(url) || !/^sha256:[0-9a-f]{64}$/.test(pin)) {
    throw new CliError("usage", "--url is https://host:port, and --pin sha256:… with 64 digits.");
  }
  const source = kbsSource({ url, pin, attester });
  using secret = await source.get(name, { signal: context.io.signal });
  const bytes = secret.reveal();
  await writeNew(target, "secret", bytes, 0o600);
  context.print({ file: target, bytes: bytes.length, tee: attester.type }, [
    `Wrote ${options.output} (mode 0600): ${bytes.length} bytes, released on ${attester.type} evidence.`,
  ]);
  return 0;
};

async function attesterOf(context: Context, options: GetOptions): Promise<Attester> {
  const source = evidenceSourceOf(options.from);
  const { io } = context;
  if (source !== "simulated") {
    const state = await context.state({ create: true });
    return await platformAttester({ source, tpm: options.tpm, state, io });
  }
  const { signer } = await openRoot(await context.state({ create: false }));
  const nothing = new Uint8Array(32);
  const measured = { ...(await measurePsi()), policy: nothing, config: nothing };
  return simulatedAttester({ root: signer, crypto: nodeCrypto(), clock: systemClock(), measured });
}
