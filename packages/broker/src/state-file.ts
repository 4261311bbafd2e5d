/** The broker's store: one sealed file, replaced as a whole at every change. */
import { access } from "node:fs/promises";
import { type KeyWrapper, openSealedFileAt, sealFileAt } from "@vivarium/seal";

export interface StateFile {
  /** Undefined if there is none. @throws SealError for one that was altered. */
  read(): Promise<{ readonly version: number; readonly bytes: Uint8Array } | undefined>;
  /** On disk, in the place of the one before, when it resolves. */
  write(version: number, bytes: Uint8Array): Promise<void>;
}

const what = { name: "broker", type: "application/x-vivarium-broker" } as const;

/** @param wrapper of the root key: whoever has it can read every secret. */
export function sealedStateFile(path: string, wrapper: KeyWrapper): StateFile {
  return {
    async read() {
      const there = await access(path).then(
        () => true,
        () => false,
      );
      if (!there) return undefined;
      // Which version it must be, the audit log says.
      await using file = await openSealedFileAt(path, { ...what, minimumVersion: 0, wrapper });
      const bytes = new Uint8Array(file.length);
      await file.readInto(0, bytes);
      return { version: file.version, bytes };
    },
    write: (version, bytes) => sealFileAt(path, bytes, { ...what, version, wrapper }),
  };
}
