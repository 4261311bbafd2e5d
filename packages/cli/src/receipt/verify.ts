/** What `receipt verify` does. */
import { type Encodable, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { type Receipt, type ReceiptParty, SealError, verifyReceipt } from "@vivarium/seal";
import type { Action, Context, Json } from "../command.ts";
import { fileLimits, readBounded } from "../files.ts";
import { requireFingerprint } from "../identity/party.ts";

/**
 * One receipt in full; or several that follow each other, as those of federated rounds do: each is verified and
 * must name the one before it.
 */
export const verify: Action<{ identity?: string[] }> = async (context, options, ...files) => {
  const [file = "", second] = files;
  if (second !== undefined) return await verifyChain(context, options, files);
  const identities = options.identity?.map(requireFingerprint) ?? "any";
  const bytes = await readBounded(context.path(file), "receipt", fileLimits.receipt);
  const receipt = await verifyReceipt(bytes, { crypto: nodeCrypto(), identities });
  const simulated = receipt.parties.some(({ isolation }) => isolation === "simulated");
  const { parties } = receipt;
  context.print(
    {
      file,
      genuine: true,
      identityExpected: identities !== "any",
      simulated,
      kind: receipt.kind,
      issuedAt: receipt.issuedAt,
      issuer: {
        identity: receipt.issuer.identity,
        workload: receipt.issuer.workload,
        code: toHex(receipt.issuer.code),
      },
      body: jsonOf(receipt.body),
      commitments: jsonOf(receipt.commitments),
      parties: parties.map((party) => ({ ...party })),
    },
    lines(receipt, simulated, identities !== "any"),
  );
  return 0;
};

async function verifyChain(
  context: Context,
  options: { identity?: string[] },
  files: readonly string[],
): Promise<0> {
  const crypto = nodeCrypto();
  const identities = options.identity?.map(requireFingerprint) ?? "any";
  let previous: string | undefined;
  let issuer: string | undefined;
  for (const file of files) {
    const bytes = await readBounded(context.path(file), "receipt", fileLimits.receipt);
    const receipt = await verifyReceipt(bytes, { crypto, identities });
    const named = (receipt.body as { readonly previous?: unknown } | null)?.previous;
    if (previous !== undefined && named !== previous) {
      throw new SealError(
        "not-genuine",
        `The receipt ${file} does not follow the one given before it.`,
      );
    }
    if (issuer !== undefined && issuer !== receipt.issuer.identity) {
      throw new SealError(
        "not-genuine",
        `The receipt ${file} is of another party than the one before it.`,
      );
    }
    issuer = receipt.issuer.identity;
    previous = toHex(await crypto.digest("SHA-256", bytes));
  }
  context.print(
    {
      files: [...files],
      genuine: true,
      chained: true,
      identityExpected: identities !== "any",
      issuer: issuer ?? "",
    },
    [
      `All ${files.length} receipts are genuine, and each names the one before it.`,
      `Signed for ${issuer}${identities === "any" ? "; any signer was allowed: compare this fingerprint by voice" : ", as expected"}`,
    ],
  );
  return 0;
}

function lines(receipt: Receipt, simulated: boolean, expected: boolean): readonly string[] {
  return [
    `The receipt is genuine: ${receipt.kind}, ${new Date(receipt.issuedAt).toISOString()} by its signer's clock.`,
    `Signed for ${receipt.issuer.identity}${expected ? ", as expected" : ""}`,
    ...(expected ? [] : ["  Any signer was allowed: compare this fingerprint by voice."]),
    `  code     ${toHex(receipt.issuer.code)}`,
    ...(simulated ? ["SIMULATED attestation: no hardware vouched for these parties."] : []),
    ...receipt.parties.flatMap(partyLines),
    ...Object.entries(receipt.commitments).map(
      ([name, value]) => `Commitment ${name}: ${toHex(value)}`,
    ),
    ...bodyLines(jsonOf(receipt.body)),
  ];
}

function partyLines(party: ReceiptParty): readonly string[] {
  return [
    `Attested ${party.role}: ${party.tee}, isolation ${party.isolation}, binding ${party.binding}`,
    `  identity  ${party.identity}`,
    `  evidence  ${party.evidence}`,
    `  statement ${party.statement}`,
    `  policy    ${party.policy}`,
  ];
}

function bodyLines(body: Json): readonly string[] {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    return [`Content: ${JSON.stringify(body)}`];
  }
  return Object.entries(body).map(
    ([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
}

/** Bytes as hex, 64-bit integers as text: JSON has neither. */
function jsonOf(value: Encodable): Json {
  if (value instanceof Uint8Array) return toHex(value);
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return (value as readonly Encodable[]).map(jsonOf);
  return Object.fromEntries(
    Object.entries(value as { readonly [key: string]: Encodable }).map(([name, item]) => [
      name,
      jsonOf(item),
    ]),
  );
}
