/** Configuration of `serving run`. */
import { dirname, resolve } from "node:path";
import type { ServingWorkerConfig, VersionPolicy } from "@vivarium/serving";
import type { EvidenceSource } from "../evidence/source.ts";
import { type Endpoint, parseEndpoint } from "./endpoint.ts";
import { type ServingDocument, servingSchema } from "./serving-schema.ts";
import { validate } from "./validate.ts";
import { loadYaml, type Problem, problemsError } from "./yaml.ts";

/** A configuration that has passed every check; paths are absolute. */
export interface ServingConfig {
  readonly identity: string | undefined;
  readonly policy: string | undefined;
  readonly modelKey: string | undefined;
  readonly evidence: EvidenceSource;
  readonly tpm: string | undefined;
  readonly collateral: readonly string[];
  readonly metrics: Endpoint | undefined;
  readonly worker: Omit<ServingWorkerConfig, "collateral">;
}

/** @throws CliError `invalid-config`, listing every problem with file, line, column and field. */
export async function loadServingConfig(path: string): Promise<ServingConfig> {
  const source = await loadYaml(path, "configuration");
  const checked = validate(servingSchema, source.value);
  if (!checked.ok) throw problemsError(source, checked.problems);
  const document = checked.value;
  const problems: Problem[] = [];
  const endpoint = (field: "listen" | "rest" | "metrics"): Endpoint | undefined => {
    const written = document[field];
    const parsed = written === undefined ? undefined : parseEndpoint(written, true);
    if (typeof parsed === "string") problems.push({ path: [field], message: parsed });
    return typeof parsed === "object" ? parsed : undefined;
  };
  const [listen, rest, metrics] = [endpoint("listen"), endpoint("rest"), endpoint("metrics")];
  const policies = policiesOf(document, problems);
  if (problems.length > 0) throw problemsError(source, problems);
  const at = (written: string): string => resolve(dirname(path), written);
  const { batching, digests, labels } = document;
  return {
    identity: document.identity,
    policy: document.policy === undefined ? undefined : at(document.policy),
    modelKey: document.modelKey === undefined ? undefined : at(document.modelKey),
    evidence: document.evidence,
    tpm: document.tpm,
    collateral: (document.collateral ?? []).map(at),
    metrics,
    worker: {
      listen: listen as Endpoint,
      ...(rest === undefined ? {} : { rest }),
      repository: at(document.repository),
      ...(policies === undefined ? {} : { policies }),
      ...(labels === undefined ? {} : { labels }),
      ...(digests === undefined ? {} : { digests }),
      sealed: document.modelKey !== undefined,
      pollMs: Math.round(1000 * (document.pollSeconds ?? 5)),
      batching: { maxRows: 1, maxDelayMs: 2, queue: 1_024, ...batching },
      clients: document.policy === undefined ? "any" : "attested",
    },
  };
}

function policiesOf(
  { versions }: ServingDocument,
  problems: Problem[],
): Readonly<Record<string, VersionPolicy>> | undefined {
  if (versions === undefined) return undefined;
  const policies = Object.entries(versions).map(
    ([name, { latest, specific }]): [string, VersionPolicy] => {
      if ((latest === undefined) === (specific === undefined)) {
        problems.push({ path: ["versions", name], message: "must have either latest or specific" });
      }
      return [
        name,
        specific === undefined
          ? { kind: "latest", count: latest ?? 1 }
          : { kind: "specific", versions: specific },
      ];
    },
  );
  return Object.fromEntries(policies);
}
