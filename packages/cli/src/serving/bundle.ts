/** The installed bundle of the serving worker, and its measurements without launching it. */
import { servingBundle } from "@vivarium/serving";
import { type BundleMeasurements, measureBundle, WorkersError } from "@vivarium/workers";
import { CliError } from "../errors/error.ts";

/** What `launch` would measure. @throws CliError `bad-installation`. */
export async function measureServing(
  bundle: string = servingBundle(),
): Promise<BundleMeasurements> {
  try {
    return await measureBundle(bundle);
  } catch (cause) {
    if (!(cause instanceof WorkersError)) throw cause;
    throw new CliError("bad-installation", cause.message, { cause });
  }
}
