/** Entry of the bundle: the main program of a PSI trust domain. */
import { curve25519ErrorClass } from "@vivarium/curve25519";
import { trustDomain } from "@vivarium/workers";
import { psiErrorClass } from "../errors.ts";
import { asEncodable } from "./events.ts";
import { runWorker } from "./run-worker.ts";

trustDomain(async (domain) => asEncodable(await runWorker(domain)), {
  pool: { errorClasses: [curve25519ErrorClass, psiErrorClass] },
});
