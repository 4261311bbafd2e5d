/** Policies and findings as lines of text, for people who must decide what to change. */
import type { Finding } from "./evidence.ts";
import type { Policy } from "./policy.ts";

/** One line a rule, failed ones first: what the policy wants, and what the evidence has. */
export function explainFindings(findings: readonly Finding[]): string[] {
  const order = [...findings].sort((a, b) => Number(a.ok) - Number(b.ok));
  return order.map(({ rule, ok, expected, actual, source, record }) => {
    const where = record === undefined ? "" : ` [record ${record}]`;
    const why = source === undefined ? "" : ` (${printable(source)})`;
    const verdict = ok ? "passed" : "FAILED";
    return `${verdict} ${printable(rule)}${where}: expected ${printable(expected)}; actual ${printable(actual)}${why}`;
  });
}

/** Every rule of a policy in words. */
export function explainPolicy(policy: Policy): string[] {
  const lines = [`Policy "${printable(policy.name)}"`];
  for (const [role, { identities, accept }] of Object.entries(policy.roles)) {
    lines.push(`Role ${role}: may be`);
    for (const identity of identities) lines.push(`  identity ${identity}`);
    lines.push(
      `  with evidence that satisfies all of ${accept.length === 1 ? "this" : "one of these"}:`,
    );
    for (const [index, record] of accept.entries()) {
      lines.push(`  record ${index}: ${record.type} evidence, isolation ${record.isolation}`);
      if (record.type === "simulated") {
        lines.push("    SIMULATED: no hardware protects this peer; for development only");
      }
      if (record.root !== undefined) lines.push(`    trust anchor ${record.root}`);
      for (const [name, values] of Object.entries(record.measurements)) {
        lines.push(`    measurement ${name} is ${values.join(" or ")}`);
      }
      for (const [name, minimum] of Object.entries(record.minimumSvn)) {
        lines.push(`    security version ${name} is at least ${minimum}`);
      }
      lines.push(`    TCB state is ${record.tcb.join(" or ")}`);
      for (const relaxation of record.allow ?? []) lines.push(`    ALLOWS ${relaxation}`);
      for (const [name, wanted] of Object.entries(record.require ?? {})) {
        lines.push(`    switch ${name} is ${wanted ? "on" : "off"}`);
      }
      lines.push("    no debugger");
      lines.push(`    bound to: ${record.binding}`);
      lines.push(`    attests again within ${record.maxAgeSeconds} s`);
    }
  }
  return lines;
}

/** Findings quote what came from a peer: no control characters into a terminal or a log. */
function printable(text: string): string {
  const short = text.length > 600 ? `${text.slice(0, 600)}…` : text;
  return short.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u{FFFD}");
}
