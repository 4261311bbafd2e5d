/** The installed bundle of the psi worker, and its measurements without launching it. */
import { psiBundle } from "@vivarium/psi";
import { type BundleMeasurements, measureBundle, WorkersError } from "@vivarium/workers";
import { CliError } from "../errors/error.ts";

export type Measurements = BundleMeasurements;

/** What `launch` would measure. @throws CliError `bad-installation`. */
export async function measurePsi(bundle: string = psiBundle()): Promise<Measurements> {
  try {
    return await measureBundle(bundle);
  } catch (cause) {
    if (!(cause instanceof WorkersError)) throw cause;
    throw new CliError("bad-installation", cause.message, { cause });
  }
}
