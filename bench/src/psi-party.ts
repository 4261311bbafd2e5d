/**
 * One party of the PSI benchmark, a process of its own, so that its CPU time and memory are its own.
 * argv: side, contender (an engine of ours, `attested`, or a directory of psi.js), items per party. Parties talk over a
 * loop-back socket; times and sizes go to the parent.
 */
import { once } from "node:events";
import { createRequire } from "node:module";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { type Curve25519Engine, surveyEngines } from "@vivarium/curve25519";
import { inlineExecutor, type Link, type PsiBatch, type PsiConfig, runRole } from "@vivarium/psi";

export interface PartyReport {
  readonly cpuSeconds: number;
  /** Of the whole process, Node.js included. */
  readonly peakBytes: number;
  readonly bytesSent: number;
  /** Undefined for a party that does not learn it. */
  readonly matches: number | undefined;
}

const [side, engine = "", count = "", port = ""] = process.argv.slice(2);
const n = Number(count);
// Half of the items are common.
const first = side === "receiver" ? 0 : n / 2;
const item = (i: number): string => `user-${(first + i).toString(36)}@example.org`;

const known = surveyEngines().find(({ engine: { name } }) => name === engine)?.engine.name;
// Made before the clock starts: items in memory are where both begin.
const tables = prepare();
const strings = known === undefined && engine !== "attested" ? texts() : [];

const socket = await open();
const receive = frames(socket);
const traffic = { sent: 0 };
const before = process.cpuUsage();
const matches = await (known !== undefined || engine === "attested"
  ? ours(known)
  : openMined(engine));
const { user, system } = process.cpuUsage(before);
const report: PartyReport = {
  cpuSeconds: (user + system) / 1e6,
  peakBytes: 1024 * process.resourceUsage().maxRSS,
  bytesSent: traffic.sent,
  matches,
};
process.send?.({ report });
socket.end();
process.disconnect();

/** With an engine by the curve; without one by keyed hashes. */
async function ours(name: Curve25519Engine["name"] | undefined): Promise<number | undefined> {
  const config: PsiConfig = {
    protocol: name === undefined ? "attested" : "ecdh",
    mode: "intersection",
    resultTo: "receiver",
    keys: { encoding: "bench/1", columns: [{ name: "item", normalise: [] }] },
    maxItems: 10_000_000,
    minItems: 0,
  };
  const link: Link = {
    connect(outgoing) {
      void (async () => {
        for await (const frame of outgoing) await send(frame);
        await send(new Uint8Array());
      })();
      return (async function* () {
        for (;;) {
          const frame = await receive();
          if (frame.length === 0) return;
          yield frame;
        }
      })();
    },
    // The benchmark has no channel below it, and no secrets.
    exportKey: (context, length) =>
      Uint8Array.from({ length }, (_, i) => context[i % context.length] as number),
  };
  const role = side === "receiver" ? "receiver" : "sender";
  const result = await runRole(role, link, {
    config,
    teeTrust: "accepted",
    input: batches(),
    inputKeys: n,
    executor: inlineExecutor(name),
  });
  return result.matches;
}

/** The items in memory, as a table gives them. */
function prepare(): readonly PsiBatch[] {
  const prepared: PsiBatch[] = [];
  const size = 2048;
  for (let start = 0; start < n; start += size) {
    const end = Math.min(n, start + size);
    const texts = Array.from({ length: end - start }, (_, i) => item(start + i));
    const offsets = new Uint32Array(texts.length + 1);
    for (const [i, text] of texts.entries()) offsets[i + 1] = (offsets[i] as number) + text.length;
    prepared.push({
      bytes: Buffer.from(texts.join("")),
      offsets,
      rows: Uint32Array.from(texts, (_, i) => start + i),
    });
  }
  return prepared;
}

async function* batches(): AsyncGenerator<PsiBatch> {
  yield* tables;
}

function texts(): readonly string[] {
  return Array.from({ length: n }, (_, i) => item(i));
}

/** What is used of psi.js 2.0.6. */
interface Message {
  serializeBinary(): Uint8Array;
}
interface PsiJs {
  readonly server: {
    createWithNewKey(reveal: boolean): {
      createSetupMessage(
        fpr: number,
        clients: number,
        items: readonly string[],
        kind: unknown,
      ): Message;
      processRequest(request: Message): Message;
    };
  };
  readonly client: {
    createWithNewKey(reveal: boolean): {
      createRequest(items: readonly string[]): Message;
      getIntersection(setup: Message, response: Message): readonly number[];
    };
  };
  readonly dataStructure: { readonly Raw: unknown };
  readonly serverSetup: { deserializeBinary(bytes: Uint8Array): Message };
  readonly request: { deserializeBinary(bytes: Uint8Array): Message };
  readonly response: { deserializeBinary(bytes: Uint8Array): Message };
}

/** Its `Raw` structure: the one that gives exact results, as ours does. */
async function openMined(directory: string): Promise<number | undefined> {
  const load = createRequire(import.meta.url)(directory) as () => Promise<PsiJs>;
  const psi = await load();
  const items = strings;
  if (side === "sender") {
    const server = psi.server.createWithNewKey(true);
    const { Raw } = psi.dataStructure;
    await send(server.createSetupMessage(0, n, items, Raw).serializeBinary());
    const request = psi.request.deserializeBinary(await receive());
    await send(server.processRequest(request).serializeBinary());
    return undefined;
  }
  const client = psi.client.createWithNewKey(true);
  await send(client.createRequest(items).serializeBinary());
  const setup = psi.serverSetup.deserializeBinary(await receive());
  const response = psi.response.deserializeBinary(await receive());
  return client.getIntersection(setup, response).length;
}

async function open(): Promise<Socket> {
  if (side === "receiver") return connect(Number(port), "127.0.0.1");
  const server = createServer();
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  process.send?.({ port: (server.address() as AddressInfo).port });
  const [accepted] = (await once(server, "connection")) as [Socket];
  server.close();
  return accepted;
}

async function send(frame: Uint8Array): Promise<void> {
  const head = new Uint8Array(4);
  new DataView(head.buffer).setUint32(0, frame.length);
  traffic.sent += frame.length;
  socket.write(head);
  if (!socket.write(frame)) await once(socket, "drain");
}

/** The next frame each time it is called. */
function frames(from: Socket): () => Promise<Uint8Array> {
  const chunks = from[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  let held: Buffer[] = [];
  let size = 0;
  const take = async (length: number): Promise<Buffer> => {
    while (size < length) {
      const next = await chunks.next();
      if (next.done === true) throw new Error("The other party is gone.");
      held.push(next.value);
      size += next.value.length;
    }
    const all = Buffer.concat(held);
    held = [all.subarray(length)];
    size = all.length - length;
    return all.subarray(0, length);
  };
  return async () => new Uint8Array(await take((await take(4)).readUInt32BE(0)));
}
