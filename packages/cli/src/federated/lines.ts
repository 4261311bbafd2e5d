/** Events of a federated run as lines for people. */
import type { FederatedWorkerEvent } from "@vivarium/federated";

/** The beginning of a fingerprint: enough to tell parties of one run apart. */
export const short = (identity: string): string => identity.replace(/^sha256:/, "").slice(0, 12);

export function eventLines(event: FederatedWorkerEvent): readonly string[] {
  switch (event.type) {
    case "waiting":
      return [
        event.how === "listen"
          ? `Waiting for participants on ${event.address}.`
          : `Nobody answers on ${event.address} yet; trying again until somebody does.`,
      ];
    case "refused":
      return [
        `Turned a peer away: ${event.message}`,
        ...event.findings
          .filter(({ ok }) => !ok)
          .map(({ rule, expected, actual }) => `  ${rule}: expected ${expected}, got ${actual}`),
      ];
    case "attested":
      return [
        `Attested the ${event.peer.role} ${short(event.peer.identity)}: evidence ${event.peer.tee}, isolation ${event.peer.isolation}, code ${event.peer.code}`,
      ];
    case "joined":
      return [`${short(event.participant)} is in, with ${event.examples} examples.`];
    case "left":
      return [`${short(event.participant)} is gone.`];
    case "cohort":
      return [`Round ${event.round}: asking ${event.cohort.length} participants.`];
    case "update":
      return [
        `  update of ${short(event.participant)}: ${event.bytes} bytes, loss ${event.loss.toFixed(4)}`,
      ];
    case "failed":
      return [`  no update of ${short(event.participant)}: ${event.reason}`];
    case "quarantined":
      return [`  left out from now on: ${short(event.participant)}: ${event.reason}`];
    case "round":
      return [`Round ${event.round}: ${event.accepted} updates of ${event.examples} examples.`];
    case "metrics":
      return [
        `Round ${event.round}: accuracy ${(100 * event.accuracy).toFixed(2)} %, loss ${event.loss.toFixed(4)} (${event.examples} test examples of ${event.participants} participants).`,
      ];
    case "resumed":
      return [`Going on after round ${event.round}.`];
    case "reconnecting":
      return [`Cut off, trying again: ${event.reason}`];
    case "training":
      return [`Round ${event.round}: training.`];
    case "trained":
      return [`Round ${event.round}: ${event.steps} steps, loss before ${event.loss.toFixed(4)}.`];
    case "committed":
      return [`Round ${event.round}: the set of ${event.cohort} updates holds this one.`];
    case "evaluated":
      return [
        `Round ${event.round}: accuracy ${(100 * event.accuracy).toFixed(2)} % on ${event.examples} own examples.`,
      ];
    case "receipt":
      return [`Round ${event.round}: receipt of ${event.receipt.length} bytes.`];
  }
}
