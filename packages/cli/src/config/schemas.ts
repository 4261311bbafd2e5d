/** The JSON Schemas that editors are given, by file name. A test keeps `schema/` in step. */
import type { TSchema } from "@sinclair/typebox";
import { policySchema } from "@vivarium/attestation";
import { partySchema } from "../identity/party.ts";
import { federatedSchema, planSchema } from "./federated-schema.ts";
import { psiSchema } from "./psi-schema.ts";
import { servingSchema } from "./serving-schema.ts";

const schemas: Readonly<Record<string, TSchema>> = {
  "psi.schema.json": psiSchema,
  "federated.schema.json": federatedSchema,
  "serving.schema.json": servingSchema,
  "federated-plan.schema.json": planSchema,
  "party.schema.json": partySchema,
  "policy.schema.json": policySchema,
};

/** File name → text. */
export function schemaFiles(): ReadonlyMap<string, string> {
  return new Map(
    Object.entries(schemas).map(([name, schema]) => [name, `${JSON.stringify(schema, null, 2)}\n`]),
  );
}
