/** Entry of the bundle: the main program of a serving trust domain. */
import { trustDomain } from "@vivarium/workers";
import { readWorkerConfig } from "./config.ts";
import { asEncodable } from "./events.ts";
import { runServer } from "./run-server.ts";

trustDomain(async (domain) =>
  asEncodable(await runServer(domain, readWorkerConfig(domain.config))),
);
