/** Two trust domains on machines with (software) TPMs: an intersection over a channel of TPM evidence. */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fingerprint, type Policy } from "@vivarium/attestation";
import { readTpmAk, tpmAttester } from "@vivarium/attestation/collect";
import { decodeTpmEvidence } from "@vivarium/attestation/tpm";
import { type Signer, toHex } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import {
  launchPsi,
  type PsiRole,
  type PsiWorker,
  type PsiWorkerEvent,
  psiBundle,
} from "@vivarium/psi";
import { measureBundle } from "@vivarium/workers";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
// @boundaries-ignore a software TPM for tests of three packages; nothing of it ships
import { noTpm, type SoftwareTpm, startTpm } from "../../attestation/test/collect/swtpm.ts";

const crypto = nodeCrypto();
const pcrs = [0, 4, 11];
let directory = "";
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "vivarium-psi-tpm-"));
  await writeFile(join(directory, "receiver.csv"), "mail\na@x.org\nb@x.org\n");
  await writeFile(join(directory, "sender.csv"), "mail\nb@x.org\nc@x.org\n");
});
afterAll(() => rm(directory, { recursive: true, force: true }));

interface Party {
  readonly role: PsiRole;
  readonly identity: Signer;
  readonly tpm: SoftwareTpm;
}

/** What the peer of this party demands: this very TPM, booted as it is now, with this code. */
async function policyOf({ role, identity, tpm }: Party): Promise<Policy> {
  const { ak, pcrs: banks } = decodeTpmEvidence(
    (await tpmAttester({ address: tpm.address, pcrs }).collect(new Uint8Array(64))).bytes,
  );
  const { code, runtime } = await measureBundle(psiBundle());
  const values = [...(banks.get(0x0b) ?? [])].map(([index, value]) => [
    `pcr${String(index).padStart(2, "0")}`,
    [toHex(value)],
  ]);
  return {
    version: 1,
    name: "test",
    roles: {
      [role]: {
        identities: [await fingerprint(crypto, identity.publicKey)],
        accept: [
          {
            type: "tpm",
            isolation: "none",
            binding: "session",
            root: await fingerprint(crypto, ak),
            measurements: {
              ...(Object.fromEntries(values) as Record<string, string[]>),
              code: [toHex(code)],
              runtime: [toHex(runtime)],
            },
            minimumSvn: {},
            tcb: ["UpToDate"],
            debug: false,
            maxAgeSeconds: 300,
          },
        ],
      },
    },
  };
}

async function side(
  own: Party,
  peer: { readonly policy: Policy; readonly ak: Uint8Array },
  at: { readonly listen?: number; readonly connect?: number },
  onEvent: (event: PsiWorkerEvent) => void,
): Promise<PsiWorker> {
  const host = "127.0.0.1";
  return await launchPsi({
    role: own.role,
    identity: own.identity,
    attestation: { kind: "platform", attester: tpmAttester({ address: own.tpm.address, pcrs }) },
    policy: peer.policy,
    onEvent,
    config: {
      ...(at.listen === undefined ? {} : { listen: { host, port: at.listen } }),
      ...(at.connect === undefined ? {} : { connect: { host, port: at.connect } }),
      input: { path: join(directory, `${own.role}.csv`), keys: [{ column: "mail" }] },
      output: { path: join(directory, `${own.role}.out.csv`) },
      mode: "intersection",
      resultTo: "both",
      timeoutMs: 15_000,
      collateral: { ak: peer.ak },
    },
  });
}

describe.skipIf(noTpm !== undefined)("an intersection over TPM evidence", () => {
  test("opens for the TPMs that both policies name, and for no other boot", async () => {
    await using receiverTpm = await startTpm();
    await using senderTpm = await startTpm();
    const key = (): Promise<Signer> => crypto.generateSigner("ES256");
    const receiver: Party = { role: "receiver", identity: await key(), tpm: receiverTpm };
    const sender: Party = { role: "sender", identity: await key(), tpm: senderTpm };
    const expected = async (party: Party) => ({
      policy: await policyOf(party),
      ak: await readTpmAk(party.tpm),
    });
    const [ofReceiver, ofSender] = [await expected(receiver), await expected(sender)];

    const meet = async () => {
      const events: PsiWorkerEvent[] = [];
      let listening: (port: number) => void = () => {};
      const port = new Promise<number>((resolve) => {
        listening = resolve;
      });
      await using first = await side(receiver, ofSender, { listen: 0 }, (event) => {
        events.push(event);
        if (event.type === "waiting") listening(Number(event.address.split(":").at(-1)));
        // Nobody else will come: no need to wait for the time-out.
        if (event.type === "refused") void first.worker.stop();
      });
      await using second = await side(sender, ofReceiver, { connect: await port }, () => {});
      return { events, results: await Promise.allSettled([first.result, second.result]) };
    };

    const met = await meet();
    const [r, s] = met.results;
    if (r.status === "rejected") throw r.reason;
    if (s.status === "rejected") throw s.reason;
    expect(r.value).toMatchObject({ matches: 1, peer: { tee: "tpm", isolation: "none" } });
    expect(s.value).toMatchObject({ matches: 1, peer: { tee: "tpm", isolation: "none" } });
    const file = join(directory, "receiver.out.csv");
    expect(await readFile(file, "utf8")).toBe("row_number,mail\n1,b@x.org\n");

    // The sender's machine boots something else: same key, same party, another PCR.
    senderTpm.tool("tpm2_pcrextend", `4:sha256=${"cd".repeat(32)}`);
    const refused = await meet();
    expect(refused.results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
    const finding = refused.events.flatMap((event) =>
      event.type === "refused" ? event.findings.filter(({ ok }) => !ok) : [],
    );
    expect(finding.map(({ rule }) => rule)).toEqual(["measurement.pcr04"]);
  }, 60_000);
});
