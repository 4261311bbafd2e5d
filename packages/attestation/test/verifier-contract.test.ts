/** The contract, run by every verifier we have with every implementation of `Crypto`. */
import { nodeCrypto } from "@vivarium/core/node";
import * as web from "@vivarium/core/web";
import { describe, test } from "vitest";
import { simulatedSubject } from "./simulated-subject.ts";
import { hardwareSubjects } from "./synthetic/subjects.ts";
import { verifierContract } from "./verifier-contract.ts";

const implementations = [nodeCrypto(), web.webCrypto()];

describe.each(implementations.map((crypto) => [crypto.name, crypto] as const))(
  "%s",
  (_, crypto) => {
    describe.each(["ES256", "EdDSA"] as const)(
      "simulated evidence under an %s root",
      (algorithm) => {
        test.each(verifierContract.map((check) => [check.name, check] as const))(
          "%s",
          async (_name, check) => {
            await check.run(await simulatedSubject(crypto, algorithm));
          },
        );
      },
    );
    describe.each(hardwareSubjects.map(({ name, make }) => [name, make] as const))(
      "%s of a synthetic PKI",
      (_name, make) => {
        test.each(verifierContract.map((check) => [check.name, check] as const))(
          "%s",
          async (_check, check) => {
            await check.run(await make(crypto));
          },
          60_000,
        );
      },
    );
  },
);
