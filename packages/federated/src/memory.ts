/**
 * What a participant remembers of the round it is in: enough to send the very same update again, and to
 * refuse a second, different use of it.
 */
import { concat, decode, type Encodable, encode } from "@vivarium/core";
import {
  type KeyWrapper,
  type MonotonicCounter,
  openSealedFileAt,
  SealError,
  sealFileAt,
} from "@vivarium/seal";
import { bytesOfFloats } from "@vivarium/tensors";
import { FederatedError } from "./errors.ts";

export interface Remembered {
  readonly run: string;
  readonly round: number;
  /** Digest of the parameters that the round began with. */
  readonly base: string;
  readonly header: Uint8Array;
  readonly pieces: readonly Uint8Array[];
  readonly key: Uint8Array;
  /** Digest of the sealed update. */
  readonly update: string;
  /** Digest of the set that the key was given for. */
  readonly set: string | null;
  /** SCAFFOLD's control variate: before this round, and once its set is known to hold the update. */
  readonly control: Float32Array | null;
  readonly nextControl: Float32Array | null;
}

export interface ParticipantMemory {
  read(): Promise<Remembered | undefined>;
  /** Durable when it resolves. */
  write(value: Remembered): Promise<void>;
}

/** Forgets with the process: for simulations. */
export function volatileMemory(): ParticipantMemory {
  let held: Remembered | undefined;
  return {
    read: async () => held,
    write: async (value) => {
      held = value;
    },
  };
}

export interface SealedStateOptions {
  /** Absolute path of the sealed file. */
  readonly path: string;
  readonly wrapper: KeyWrapper;
  /** What tells the newest state from an older one that was put back. */
  readonly counter: MonotonicCounter;
  /** Name of the state, in the file and of the counter: `federated-participant`. */
  readonly name: string;
}

/** One value in a sealed file that is replaced as a whole. */
export interface SealedState {
  /** @throws SealError `rolled-back` for an older state than the counter knows. */
  read(): Promise<Uint8Array | undefined>;
  write(content: Uint8Array): Promise<void>;
}

const type = "application/vnd.vivarium.federated";

export function sealedState({ path, wrapper, counter, name }: SealedStateOptions): SealedState {
  return {
    async read() {
      const minimumVersion = await counter.read(name);
      try {
        await using file = await openSealedFileAt(path, { name, type, minimumVersion, wrapper });
        const parts: Uint8Array[] = [];
        for await (const part of file.chunks()) parts.push(part);
        return concat(...parts);
      } catch (cause) {
        const absent =
          cause instanceof SealError &&
          cause.code === "unavailable" &&
          (cause.cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
        if (absent && minimumVersion === 0) return undefined;
        if (absent) {
          throw new SealError(
            "rolled-back",
            `The state ${path} is gone; its counter is at ${minimumVersion}.`,
            { cause },
          );
        }
        throw cause;
      }
    },
    async write(content) {
      // The file first: a crash in between leaves a file that is newer than its counter, which is accepted.
      const version = (await counter.read(name)) + 1;
      await sealFileAt(path, content, { name, type, version, wrapper });
      await counter.advance(name, version);
    },
  };
}

/** Sealed on disk: a participant that was killed goes on where it was. */
export function sealedMemory(state: SealedState): ParticipantMemory {
  return {
    async read() {
      const bytes = await state.read();
      return bytes === undefined ? undefined : remembered(bytes);
    },
    write: (value) => state.write(encodeRemembered(value)),
  };
}

const limits = {
  maxBytes: 2 ** 31,
  maxDepth: 4,
  maxArrayLength: 2 ** 20,
  maxMapLength: 64,
  maxStringBytes: 65_536,
  maxBinaryBytes: 2 ** 31,
  maxValues: 2 ** 21,
};

function encodeRemembered(value: Remembered): Uint8Array {
  const floats = (vector: Float32Array | null): Encodable =>
    vector === null ? null : bytesOfFloats(vector);
  return encode({
    ...value,
    control: floats(value.control),
    nextControl: floats(value.nextControl),
  } as unknown as Encodable);
}

function remembered(bytes: Uint8Array): Remembered {
  const value = decode(bytes, limits) as unknown as Remembered & {
    readonly control: Uint8Array | null;
    readonly nextControl: Uint8Array | null;
  };
  if (typeof value !== "object" || value === null || typeof value.run !== "string") {
    throw new FederatedError("wrong-state", "The participant's state is of something else.");
  }
  const floats = (vector: Uint8Array | null): Float32Array | null =>
    vector === null ? null : new Float32Array(vector.slice().buffer);
  const { control, nextControl, ...rest } = value;
  return { ...rest, control: floats(control), nextControl: floats(nextControl) };
}
