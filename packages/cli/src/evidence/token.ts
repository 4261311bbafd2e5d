/** `evidence verify` and `show` of tokens of attestation services: their word, under keys that are pinned. */
import { AttestationError, type Collateral } from "@vivarium/attestation";
import {
  looksLikeToken,
  type TokenIssuer,
  tokenKindOf,
  type VerifiedToken,
  verifyToken,
} from "@vivarium/attestation/tokens";
import { fromUtf8 } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import type { Context, Json } from "../command.ts";
import type { ExitCode } from "../errors/entry.ts";
import { CliError } from "../errors/error.ts";
import { fileLimits, readBounded } from "../files.ts";
import { anchorsOf } from "./anchors.ts";
import { readCollateralFiles, reportDataOf, timeOf } from "./input.ts";
import { claimLines } from "./summary.ts";
import type { VerifyOptions } from "./verify.ts";

/** The token of a file, or undefined if it holds something else. @throws CliError for the file. */
export async function readTokenFile(path: string): Promise<string | undefined> {
  const bytes = await readBounded(path, "evidence file", fileLimits.evidence);
  const text = Buffer.from(bytes).toString("latin1").trim();
  return looksLikeToken(text) ? text : undefined;
}

const notTried =
  "No real token of this service was at hand when this was written: NOT TRIED on one.";

export async function verifyTokenFile(
  context: Context,
  options: VerifyOptions,
  file: string,
  token: string,
): Promise<ExitCode> {
  for (const name of ["policy", "role", "type"] as const) {
    if (options[name] === undefined) continue;
    throw new CliError("usage", `--${name} has no meaning for a token of an attestation service.`);
  }
  const now = timeOf(options.at, context.io.now());
  const reportData = reportDataOf(options.reportData);
  const verified = await verifyToken(token, {
    issuers: [await issuerOf(context, options, token)],
    crypto: nodeCrypto(),
    now,
    ...(reportData === undefined ? {} : { reportData }),
    ...(options.nonce === undefined ? {} : { nonce: options.nonce }),
    ...(options.audience === undefined ? {} : { audience: options.audience }),
  }).catch((error: unknown) => {
    const refused = error instanceof AttestationError && error.findings.length > 0;
    if (!refused) throw error;
    return error;
  });
  if (verified instanceof AttestationError) return print(context, file, now, undefined, verified);
  return print(context, file, now, verified, undefined);
}

/** What `--collateral` and `--root` pin is pinned for the service that the token says it is of. */
async function issuerOf(
  context: Context,
  options: VerifyOptions,
  token: string,
): Promise<TokenIssuer> {
  const kind = tokenKindOf(token);
  if (kind === undefined) {
    throw new AttestationError("unknown-type", "The token is of no service that is known here.");
  }
  const files = (options.collateral ?? []).map(context.path);
  const jwks = keySetOf(await readCollateralFiles(files));
  const anchors = options.root === undefined ? [] : await anchorsOf(context.path(options.root));
  if (jwks === undefined && anchors.length === 0) {
    throw new CliError(
      "usage",
      "A token needs its service's keys: --collateral with a JWK set, or --root with the PEM of its CA.",
    );
  }
  return {
    kind,
    anchors,
    ...(jwks === undefined ? {} : { jwks }),
    ...(options.issuer === undefined ? {} : { issuer: options.issuer }),
  };
}

/** JSON among collateral is a set of keys. */
function keySetOf(collateral: Collateral): unknown {
  const text = collateral["trust-anchors"];
  return text === undefined ? undefined : JSON.parse(fromUtf8(text));
}

function print(
  context: Context,
  file: string,
  now: number,
  verified: VerifiedToken | undefined,
  error: AttestationError | undefined,
): ExitCode {
  const findings = verified?.findings ?? error?.findings ?? [];
  const accepted = verified?.accepted === true;
  const width = Math.max(...findings.map(({ rule }) => rule.length), 4);
  const value = {
    file,
    form: "token",
    type: verified?.kind ?? null,
    tee: verified?.submodules[0]?.tee ?? null,
    simulated: false,
    at: new Date(now).toISOString(),
    accepted,
    tcbStatus: null,
    claims: (verified?.claims ?? {}) as Json,
    findings: findings.map(({ rule, ok, expected, actual, source }) => ({
      ...{ verdict: ok ? "pass" : "fail", rule, expected, actual },
      source: source ?? null,
    })),
    triedOnRealTokens: verified?.triedOnRealTokens ?? null,
  };
  context.print(value, [
    ...(verified === undefined
      ? ["Token of an attestation service."]
      : [
          `Token of ${verified.kind}, signed by ${verified.signer}.`,
          ...(verified.triedOnRealTokens ? [] : [notTried]),
          ...verified.submodules.map(
            ({ name, status, tee }) =>
              `  ${name.padEnd(12)} ${status}${tee === undefined ? "" : `, ${tee}`}`,
          ),
          ...claimLines(verified.claims),
        ]),
    ...[...findings]
      .sort((a, b) => Number(a.ok) - Number(b.ok))
      .map(
        ({ rule, ok, expected, actual }) =>
          `${(ok ? "ok" : "FAIL").padEnd(4)}  ${rule.padEnd(width)}  expected ${expected}; actual ${actual}`,
      ),
    accepted
      ? "ACCEPTED: the word of that service. It is bound to no session, and opens no channel."
      : "REFUSED by the rules marked FAIL.",
  ]);
  return accepted ? 0 : 3;
}

/** What a token says, without judging it. */
export function showToken(context: Context, file: string, token: string): ExitCode {
  const kind = tokenKindOf(token);
  const payload = token.split(".")[1] ?? "";
  const claims = JSON.parse(Buffer.from(payload, "base64url").toString("utf8")) as Record<
    string,
    never
  >;
  const type = kind ?? "unknown service";
  context.print({ file, form: "token", type, simulated: false, judged: false, claims }, [
    `Token of ${type}.`,
    "Not judged: nothing of it was verified.",
    ...claimLines(claims),
  ]);
  return 0;
}
