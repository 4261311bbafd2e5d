/**
 * Private keys in files that only their owner can read: identities and development roots. Made
 * atomically: a key file is whole or absent, and of two processes that make it at once both get the
 * same key.
 */
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { link, mkdir, open, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import { type Crypto, type Signer, type SigningAlgorithm, VivariumError } from "@vivarium/core";
import { nodeCrypto } from "@vivarium/core/node";
import { AttestationError } from "../errors.ts";

/** What a key file is for; written in its first line, so that neither passes for the other. */
export type KeyFileKind = "identity" | "development-root" | "audit-log" | "witness";

export interface KeyFileOptions {
  readonly kind: KeyFileKind;
  /** True makes the file if it does not exist; false demands it. */
  readonly create: boolean;
  /** Of a new key; an existing file keeps its own. Default `ES256`. */
  readonly algorithm?: SigningAlgorithm;
  /** Default: `node:crypto`. */
  readonly crypto?: Crypto;
}

/** A key file takes a few hundred bytes; anything bigger is not one. */
const maxFileBytes = 4096;

/** Opens a development root for simulated evidence, making it on first use if `create` says so. */
export async function openDevelopmentRoot(
  path: string,
  options: Omit<KeyFileOptions, "kind">,
): Promise<Signer> {
  return await openKeyFile(path, { ...options, kind: "development-root" });
}

/**
 * Opens a private key as a handle that signs.
 * @throws AttestationError `unavailable` if the file is absent, not a regular file of this user
 * with mode 0600 (or 0400), or cannot be written; `malformed` if it is not a key of this kind.
 */
export async function openKeyFile(path: string, options: KeyFileOptions): Promise<Signer> {
  const { kind, create, algorithm = "ES256", crypto = nodeCrypto() } = options;
  let text = await readPrivate(path);
  if (text === undefined) {
    if (!create) {
      throw new AttestationError("unavailable", `There is no ${kind} at ${path}; create it first.`);
    }
    const pkcs8 = await crypto.generatePrivateKey(algorithm);
    await writeOnce(path, render(kind, pkcs8));
    // Read back: another process may have been first, and its key is the one that counts.
    text = await readPrivate(path);
    if (text === undefined) throw new AttestationError("unavailable", `${path} has disappeared.`);
  }
  return await importKey(crypto, parse(kind, path, text));
}

function render(kind: KeyFileKind, pkcs8: Uint8Array): string {
  const base64 = Buffer.from(pkcs8).toString("base64");
  const body = base64.replaceAll(/.{64}(?=.)/g, "$&\n");
  return `# vivarium ${kind}: a private key; keep it secret\n-----BEGIN PRIVATE KEY-----\n${body}\n-----END PRIVATE KEY-----\n`;
}

function parse(kind: KeyFileKind, path: string, text: string): Uint8Array {
  const match =
    /^# vivarium ([a-z-]+):[^\n]*\n-----BEGIN PRIVATE KEY-----\n([A-Za-z0-9+/=\n]+)-----END PRIVATE KEY-----\n?$/.exec(
      text,
    );
  if (match === null) throw new AttestationError("malformed", `${path} is not a key file.`);
  if (match[1] !== kind) {
    throw new AttestationError("malformed", `${path} holds another kind of key than a ${kind}.`);
  }
  return new Uint8Array(Buffer.from(match[2] as string, "base64"));
}

async function importKey(crypto: Crypto, pkcs8: Uint8Array): Promise<Signer> {
  let cause: unknown;
  for (const algorithm of ["ES256", "EdDSA", "ES384"] as const) {
    try {
      return await crypto.importSigner(algorithm, pkcs8);
    } catch (error) {
      if (!(error instanceof VivariumError)) throw error;
      cause = error;
    }
  }
  throw new AttestationError("malformed", "The file holds no P-256, P-384 or Ed25519 key.", {
    cause,
  });
}

/** Undefined if there is no such file. */
async function readPrivate(path: string): Promise<string | undefined> {
  let file: Awaited<ReturnType<typeof open>>;
  try {
    // No links: a link could lead to a file that someone else goes on changing.
    file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (cause) {
    if (codeOf(cause) === "ENOENT") return undefined;
    throw new AttestationError("unavailable", `Cannot open ${path}: ${codeOf(cause)}.`, { cause });
  }
  try {
    // Of the open file, not of the path: the path may lead elsewhere a moment later.
    const { mode, uid, size } = await file.stat();
    if ((mode & constants.S_IFMT) !== constants.S_IFREG) {
      throw new AttestationError("unavailable", `${path} is not a regular file.`);
    }
    if ((mode & 0o177) !== 0) {
      throw new AttestationError(
        "unavailable",
        `${path} can be read by others; the key may be known to them. Make a new one, or: chmod 600`,
      );
    }
    if (process.getuid !== undefined && uid !== process.getuid()) {
      throw new AttestationError("unavailable", `${path} belongs to another user.`);
    }
    if (size > maxFileBytes) throw new AttestationError("malformed", `${path} is not a key file.`);
    return await file.readFile("utf8");
  } finally {
    await file.close();
  }
}

/** Writes a file that did not exist, whole or not at all; leaves one that has come meanwhile. */
async function writeOnce(path: string, text: string): Promise<void> {
  const directory = dirname(path);
  const draft = join(directory, `.${randomBytes(12).toString("hex")}.tmp`);
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const file = await open(draft, "wx", 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    // link, unlike rename, fails if the name is taken.
    await link(draft, path);
  } catch (cause) {
    if (codeOf(cause) !== "EEXIST") {
      throw new AttestationError("unavailable", `Cannot write ${path}: ${codeOf(cause)}.`, {
        cause,
      });
    }
  } finally {
    await unlink(draft).catch(() => {});
  }
}

function codeOf(error: unknown): string {
  return typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
}
