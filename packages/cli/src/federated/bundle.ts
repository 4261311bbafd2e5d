/** The installed bundle of the federated worker, and its measurements without launching it. */
import { federatedBundle } from "@vivarium/federated";
import { type BundleMeasurements, measureBundle, WorkersError } from "@vivarium/workers";
import { CliError } from "../errors/error.ts";

/** What `launch` would measure. @throws CliError `bad-installation`. */
export async function measureFederated(
  bundle: string = federatedBundle(),
): Promise<BundleMeasurements> {
  try {
    return await measureBundle(bundle);
  } catch (cause) {
    if (!(cause instanceof WorkersError)) throw cause;
    throw new CliError("bad-installation", cause.message, { cause });
  }
}
