/** Entry of the bundle: the main program of a federated trust domain, in either role. */
import { trustDomain } from "@vivarium/workers";
import { FederatedError } from "../errors.ts";
import { readWorkerConfig } from "./config.ts";
import { asEncodable } from "./events.ts";
import { runAggregator } from "./run-aggregator.ts";
import { runParticipant } from "./run-participant.ts";

trustDomain(async (domain) => {
  const config = readWorkerConfig(domain.config);
  switch (domain.role) {
    case "aggregator":
      return asEncodable(await runAggregator(domain, config));
    case "participant":
      return asEncodable(await runParticipant(domain, config));
    default:
      throw new FederatedError("invalid-argument", "The role must be aggregator or participant.");
  }
});
