/**
 * A man in the middle for tests: he ends the transport towards each side with a key of his own and
 * passes handshake frames on, changed as a test likes. Also used by the end-to-end tests.
 */
import type { Transport } from "../src/transport.ts";

export interface RelayedFrame {
  readonly from: "client" | "server";
  /** Number of the frame from that side, from 0: Hello, identity, evidence, verdict, … */
  readonly index: number;
  readonly type: number;
  readonly body: Uint8Array;
}

/** What to pass on instead: nothing drops, several are sent in turn; null cuts the connection. */
export type Tamper = (
  frame: RelayedFrame,
) =>
  | readonly Pick<RelayedFrame, "type" | "body">[]
  | null
  | Promise<readonly Pick<RelayedFrame, "type" | "body">[] | null>;

export interface Relay {
  /** All frames seen. */
  readonly seen: readonly RelayedFrame[];
  /** Sends a frame of the attacker's own. */
  inject(to: "client" | "server", type: number, body: Uint8Array): Promise<void>;
}

export function encodeFrame(type: number, body: Uint8Array): Uint8Array {
  const out = new Uint8Array(5 + body.length);
  new DataView(out.buffer).setUint32(0, 1 + body.length);
  out[4] = type;
  out.set(body, 5);
  return out;
}

/**
 * @param towardsClient the end the victim client is connected to (the attacker as server).
 * @param towardsServer the end the victim server is connected to (the attacker as client).
 */
export function relay(
  towardsClient: Transport,
  towardsServer: Transport,
  tamper: Tamper = (frame) => [frame],
): Relay {
  const seen: RelayedFrame[] = [];
  const pass = (from: "client" | "server", source: Transport, target: Transport): void => {
    let buffer = new Uint8Array(0);
    let index = 0;
    let turn = Promise.resolve();
    const forward = async (frame: RelayedFrame): Promise<void> => {
      const instead = await tamper(frame);
      if (instead === null) {
        source.destroy();
        target.destroy();
        return;
      }
      for (const { type, body } of instead) {
        await target.send([encodeFrame(type, body)]).catch(() => undefined);
      }
    };
    source.receive({
      data(chunk) {
        const joined = new Uint8Array(buffer.length + chunk.length);
        joined.set(buffer);
        joined.set(chunk, buffer.length);
        buffer = joined;
        for (;;) {
          if (buffer.length < 5) return;
          const length = new DataView(buffer.buffer, buffer.byteOffset).getUint32(0);
          if (buffer.length < 4 + length) return;
          const frame: RelayedFrame = {
            from,
            index: index++,
            type: buffer[4] as number,
            body: buffer.slice(5, 4 + length),
          };
          buffer = buffer.slice(4 + length);
          seen.push(frame);
          turn = turn.then(() => forward(frame));
        }
      },
      end() {
        void turn.then(() => target.close().catch(() => undefined));
      },
    });
  };
  pass("client", towardsClient, towardsServer);
  pass("server", towardsServer, towardsClient);
  return {
    seen,
    async inject(to, type, body) {
      const target = to === "client" ? towardsClient : towardsServer;
      await target.send([encodeFrame(type, body)]);
    },
  };
}
