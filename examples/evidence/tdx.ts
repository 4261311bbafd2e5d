/** Intel TDX: a quote, its collateral and its event log; and the reference values that the log gives. */
import { assessEvidence } from "@vivarium/attestation";
import { readCollateralForm } from "@vivarium/attestation/forms";
import { rtmrsOfLog } from "@vivarium/attestation/measure";
import { tdxVerifier } from "@vivarium/attestation/tdx";
import { toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { expect, vector } from "./support/vectors.ts";

const crypto = nodeCrypto();
const quote = vector("ccel/go-tdx-guest_cos-113_tdx_quote.bin");
const eventlog = vector("ccel/go-tdx-guest_cos-113_ccel_data.bin");
const collateral = vector(
  "dcap_cases/ccel_go-tdx-guest_cos-113_tdx_quote__OutOfDate__2026-06-27.json",
);

const assessment = await assessEvidence(
  { type: "tdx", bytes: quote, attachments: { eventlog } },
  {
    verifiers: [tdxVerifier()],
    crypto,
    now: Date.parse("2026-06-27T12:00:00Z"),
    collateral: readCollateralForm(collateral),
  },
);
// Good in 2025, a year later no more: collateral moves on.
expect("The TCB", assessment.tcbStatus, "OutOfDate");
const registers = await rtmrsOfLog(crypto, eventlog);
for (const [name, value] of Object.entries(registers)) {
  const measured = assessment.verified?.measurements[name] ?? new Uint8Array();
  expect(name, toHex(measured), toHex(value));
  console.log(`${name} ${toHex(value).slice(0, 16)}… as the event log says`);
}
