/** The part of the table that says what the evidence is: identity, measurements, TCB. */
import type { Assessment, Claim } from "@vivarium/attestation";
import type { Recognised } from "@vivarium/attestation/forms";
import { toHex } from "@vivarium/core";
import { printable } from "../io.ts";

export function summaryLines(read: Recognised, assessment: Assessment): readonly string[] {
  const { verified, tcbStatus } = assessment;
  const lines = [`Evidence of type ${assessment.tee} (${read.form}).`];
  if (verified === undefined) return [...lines, ...claimLines(assessment.claims)];
  const time = (ms: number | undefined): string =>
    ms === undefined ? "not stated" : new Date(ms).toISOString();
  const { advisories } = verified.tcb;
  return [
    ...lines,
    ...Object.entries(verified.measurements).map(([name, value]) => line(name, toHex(value))),
    ...Object.entries(verified.svn).map(([name, value]) => line(name, `${value}`)),
    line("tcb", `${tcbStatus}${advisories.length > 0 ? ` (${advisories.join(", ")})` : ""}`),
    line("isolation", `${verified.isolation}, bound to ${verified.binding}`),
    line("debug", verified.debug ? "ON" : "off"),
    line("report", toHex(verified.reportData)),
    line("root", verified.root),
    line("issued", `${time(verified.issuedAt)}, valid until ${time(verified.notAfter)}`),
  ];
}

/** Claims of evidence that was refused: what it says, and no more. */
export function claimLines(
  claims: Readonly<Record<string, Claim>>,
  prefix = "",
): readonly string[] {
  return Object.entries(claims).flatMap(([name, value]) => {
    const path = `${prefix}${name}`;
    if (typeof value === "object" && value !== null && !Array.isArray(value)) {
      return claimLines(value as Readonly<Record<string, Claim>>, `${path}.`);
    }
    return [line(path, Array.isArray(value) ? JSON.stringify(value) : String(value))];
  });
}

function line(name: string, value: string): string {
  const short = value.length > 400 ? `${value.slice(0, 400)}…` : value;
  return `  ${printable(name).padEnd(28)} ${printable(short)}`;
}
