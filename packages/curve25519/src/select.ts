/** Which engine this machine can use, and why. */
import { equalBytes, fromHex } from "@vivarium/core";
import type { Curve25519Engine } from "./engine.ts";
import { Curve25519Error } from "./errors.ts";
import { avx2Engine, avx512Engine, ifmaEngine, portableEngine } from "./native-engine.ts";
import { nobleEngine } from "./noble-engine.ts";
import { nodeEngine } from "./node-engine.ts";
import { scalarFromBytes } from "./scalar.ts";

export interface SelectedEngine {
  readonly engine: Curve25519Engine;
  /** One line for `doctor` and the log. */
  readonly reason: string;
}

/** Fastest first. */
const engines: readonly Curve25519Engine[] = [
  ifmaEngine,
  avx512Engine,
  avx2Engine,
  portableEngine,
  nodeEngine,
  nobleEngine,
];

/** Every engine, fastest first, with what keeps it from being used here. */
export function surveyEngines(): readonly {
  readonly engine: Curve25519Engine;
  readonly problem: string | undefined;
}[] {
  return engines.map((engine) => ({ engine, problem: selfTest(engine) }));
}

/**
 * The preferred engine, else the fastest that passes a known answer of RFC 7748 section 5.2.
 * @throws Curve25519Error `unsupported` when the preferred one does not work here: a user who names
 * an engine is not given another.
 */
export function selectEngine(preferred?: Curve25519Engine["name"]): SelectedEngine {
  if (preferred !== undefined) {
    const engine = engines.find((one) => one.name === preferred);
    const failure = engine === undefined ? "it does not exist" : selfTest(engine);
    if (engine === undefined || failure !== undefined) {
      throw new Curve25519Error("unsupported", `Engine ${preferred} cannot be used: ${failure}.`);
    }
    return { engine, reason: `${preferred}: asked for, known answer correct.` };
  }
  const skipped: string[] = [];
  for (const engine of engines) {
    const failure = selfTest(engine);
    if (failure === undefined) {
      const why = skipped.length === 0 ? "fastest engine" : `fallback (${skipped.join("; ")})`;
      return { engine, reason: `${engine.name}: ${why}, known answer correct.` };
    }
    skipped.push(`${engine.name}: ${failure}`);
  }
  throw new Curve25519Error("unsupported", `No engine works here: ${skipped.join("; ")}.`);
}

/** What is wrong with the engine on this machine, or undefined. */
function selfTest(engine: Curve25519Engine): string | undefined {
  try {
    const scalar = scalarFromBytes(
      fromHex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4"),
    );
    const product = engine.multiply(
      scalar,
      fromHex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c"),
    );
    const expected = fromHex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
    return equalBytes(product, expected) ? undefined : "wrong known answer";
  } catch (error) {
    if (error instanceof Curve25519Error && error.code === "unsupported") return error.message;
    return "no X25519 (a FIPS build of OpenSSL lacks it)";
  }
}
