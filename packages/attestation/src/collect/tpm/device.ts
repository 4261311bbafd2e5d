/**
 * The way to a TPM 2.0: a character device (`/dev/tpmrm0`), or the socket of a software TPM. Commands go
 * one at a time; a TPM that does not answer costs a time-out and never more.
 */
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { connect, type Socket } from "node:net";
import { AttestationError } from "../../errors.ts";

/** An open TPM. */
export interface TpmDevice extends AsyncDisposable {
  /** The address it was opened by, for messages. */
  readonly name: string;
  /**
   * Sends one command and gives its whole response, header included.
   * @throws AttestationError `unavailable`: closed, silent, or an answer that is not a TPM's.
   */
  transmit(command: Uint8Array): Promise<Uint8Array>;
}

export interface OpenTpmOptions {
  /**
   * A path (`/dev/tpmrm0`), `tcp:host:port` or `unix:/path`: the data socket of a software TPM, which has
   * no resource manager.
   */
  readonly address: string;
  /** Of one command. Default 30,000: some TPMs make an RSA key in one. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal | undefined;
}

/** TPM_PT_MAX_RESPONSE_SIZE of every TPM there is. */
const maxResponseBytes = 4096;
const headerBytes = 10;
const defaultTimeoutMs = 30_000;

/** @throws AttestationError `unavailable`, naming the address. */
export async function openTpm(options: OpenTpmOptions): Promise<TpmDevice> {
  const { address, timeoutMs = defaultTimeoutMs, signal } = options;
  signal?.throwIfAborted();
  const socket = /^(tcp|unix):(.+)$/s.exec(address);
  const channel =
    socket === null ? await openFile(address) : await openSocket(address, socket, timeoutMs);
  return deviceOf(address, channel, timeoutMs, signal);
}

interface RawChannel {
  write(command: Uint8Array): Promise<void>;
  /** Bytes as they come, at least one. */
  read(): Promise<Uint8Array>;
  close(): Promise<void>;
}

function deviceOf(
  name: string,
  channel: RawChannel,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): TpmDevice {
  // One at a time: responses have no names, so two commands at once would take each other's.
  let before: Promise<unknown> = Promise.resolve();
  let broken: AttestationError | undefined;
  const exchange = async (command: Uint8Array): Promise<Uint8Array> => {
    if (broken !== undefined) throw broken;
    try {
      return await inTime(name, talk(name, channel, command), timeoutMs, signal);
    } catch (cause) {
      // An answer that is still under way would be taken for the next command's.
      broken = unavailable(name, "no longer usable after a failure", cause);
      await channel.close();
      throw cause instanceof AttestationError ? cause : unavailable(name, "cannot be used", cause);
    }
  };
  return {
    name,
    transmit(command) {
      const result = before.then(() => exchange(command));
      before = result.catch(() => undefined);
      return result;
    },
    async [Symbol.asyncDispose]() {
      broken ??= unavailable(name, "closed", undefined);
      await channel.close();
    },
  };
}

async function talk(name: string, channel: RawChannel, command: Uint8Array): Promise<Uint8Array> {
  await channel.write(command);
  let response = new Uint8Array(0);
  for (let size = headerBytes; response.length < size; ) {
    const more = await channel.read();
    if (response.length + more.length > maxResponseBytes) {
      throw unavailable(name, `answers with over ${maxResponseBytes} bytes`, undefined);
    }
    const joined = new Uint8Array(response.length + more.length);
    joined.set(response);
    joined.set(more, response.length);
    response = joined;
    if (response.length >= headerBytes) {
      size = new DataView(response.buffer).getUint32(2);
      if (size < headerBytes || size > maxResponseBytes || response.length > size) {
        throw unavailable(name, "does not answer as a TPM 2.0 does", undefined);
      }
    }
  }
  return response;
}

async function inTime<T>(
  name: string,
  work: Promise<T>,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  let cancel = (): void => {};
  const stopped = new Promise<never>((_, reject) => {
    const timer = setTimeout(
      () => reject(unavailable(name, `silent for ${timeoutMs} ms`, undefined)),
      timeoutMs,
    );
    const onAbort = (): void => reject(unavailable(name, "no longer asked", signal?.reason));
    signal?.addEventListener("abort", onAbort, { once: true });
    cancel = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", onAbort);
    };
  });
  work.catch(() => undefined);
  try {
    return await Promise.race([work, stopped]);
  } finally {
    cancel();
  }
}

/** One `write` is one command, one `read` its whole response (Linux, drivers/char/tpm). */
async function openFile(path: string): Promise<RawChannel> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDWR);
  } catch (cause) {
    throw unavailable(path, reasonOf(cause), cause);
  }
  let closing: Promise<void> | undefined;
  return {
    async write(command) {
      const { bytesWritten } = await file.write(command, 0, command.length, null);
      if (bytesWritten !== command.length) throw unavailable(path, "took a part only", undefined);
    },
    async read() {
      const buffer = new Uint8Array(maxResponseBytes);
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) throw unavailable(path, "gives no answer", undefined);
      return buffer.subarray(0, bytesRead);
    },
    close: () => {
      closing ??= file.close();
      return closing;
    },
  };
}

function openSocket(
  address: string,
  [, kind, rest = ""]: RegExpExecArray,
  timeoutMs: number,
): Promise<RawChannel> {
  const at = rest.lastIndexOf(":");
  const port = Number(rest.slice(at + 1));
  if (kind === "tcp" && !(at > 0 && Number.isInteger(port) && port > 0 && port < 65_536)) {
    throw unavailable(address, "not an address such as tcp:127.0.0.1:2321", undefined);
  }
  const socket = kind === "unix" ? connect(rest) : connect(port, rest.slice(0, at));
  return new Promise((resolve, reject) => {
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error("no connection in time")));
    socket.once("error", (cause) => reject(unavailable(address, reasonOf(cause), cause)));
    socket.once("connect", () => {
      socket.setTimeout(0);
      resolve(channelOf(address, socket));
    });
  });
}

function channelOf(address: string, socket: Socket): RawChannel {
  socket.setNoDelay(true);
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  return {
    write: (command) =>
      new Promise((resolve, reject) =>
        socket.write(command, (error) => (error == null ? resolve() : reject(error))),
      ),
    async read() {
      const { value, done } = await chunks.next();
      if (done === true) throw unavailable(address, "closed the connection", undefined);
      return value;
    },
    async close() {
      socket.destroy();
    },
  };
}

/** For people: what stands in the way, and what to do about it. */
function reasonOf(cause: unknown): string {
  const code = (cause as { code?: unknown } | null)?.code;
  switch (code) {
    case "ENOENT":
      return "absent: this machine has none, or its driver is not loaded";
    case "EACCES":
    case "EPERM":
      return "not permitted: add this user to the group tss, or run as root";
    case "EBUSY":
      return "in use: take /dev/tpmrm0 instead of /dev/tpm0";
    case "ECONNREFUSED":
      return "refused: nothing listens there";
    default:
      return typeof code === "string" ? `failed (${code})` : "failed";
  }
}

function unavailable(name: string, reason: string, cause: unknown): AttestationError {
  return new AttestationError("unavailable", `TPM ${name}: ${reason}.`, { cause });
}
