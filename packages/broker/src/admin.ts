/**
 * Administration over a socket file: whoever may open it is the operator. It lies in a directory of mode
 * 0700, and is no network port.
 */
import { chmod, unlink } from "node:fs/promises";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { fromBase64Url, fromUtf8, toBase64Url, utf8, VivariumError } from "@vivarium/core";
import type { Broker } from "./broker.ts";
import { BrokerError, type BrokerErrorCode, brokerErrorCodes } from "./errors.ts";
import { isObject, parseObject } from "./kbs/json.ts";

export interface AdminServer extends AsyncDisposable {
  close(): Promise<void>;
}

const maxBodyBytes = 2 * 1024 * 1024;

/** What an operator can ask for. */
export type AdminCall =
  | {
      readonly do: "put";
      readonly name: string;
      readonly owner: string;
      readonly policy: unknown;
      readonly secret: Uint8Array;
      readonly expiresAt: number | null;
    }
  | { readonly do: "rotate"; readonly name: string; readonly secret: Uint8Array }
  | { readonly do: "policy"; readonly name: string; readonly policy: unknown }
  | { readonly do: "revoke"; readonly name: string }
  | { readonly do: "list" };

/** @param path of the socket; a leftover of a crash is replaced. @throws BrokerError `unavailable`. */
export async function serveAdmin(broker: Broker, path: string): Promise<AdminServer> {
  await unlink(path).catch(() => {});
  const server = createServer({ requestTimeout: 15_000 }, (request, response) => {
    answer(broker, request)
      .then((value) => ({ status: 200, value }))
      .catch((error: unknown) => ({
        status: 400,
        value:
          error instanceof VivariumError
            ? { error: error.toJSON() }
            : { error: { domain: "broker", code: "unavailable", message: "The broker failed." } },
      }))
      .then(({ status, value }) => {
        const body = Buffer.from(JSON.stringify(value));
        response.writeHead(status, { "Content-Length": body.length, Connection: "close" });
        response.end(body);
      })
      .catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (cause) => {
      reject(new BrokerError("unavailable", `Cannot listen on ${path}.`, { cause }));
    });
    server.listen(path, resolve);
  });
  await chmod(path, 0o600);
  const close = async (): Promise<void> => {
    if (!server.listening) return;
    await new Promise<void>((resolve) => server.close(() => resolve()));
  };
  return { close, [Symbol.asyncDispose]: close };
}

async function answer(broker: Broker, request: IncomingMessage): Promise<unknown> {
  const call = parseObject(await read(request));
  const text = (name: string): string => {
    const value = call[name];
    if (typeof value !== "string") {
      throw new BrokerError("malformed", `The request lacks ${name}.`);
    }
    return value;
  };
  switch (call["do"]) {
    case "put": {
      const { expiresAt, policy } = call;
      if (expiresAt !== null && typeof expiresAt !== "number") {
        throw new BrokerError("malformed", "The request lacks expiresAt.");
      }
      const secret = fromBase64Url(text("secret"));
      const name = text("name");
      return await broker.put({ name, owner: text("owner"), policy, secret, expiresAt });
    }
    case "rotate":
      return await broker.rotate(text("name"), fromBase64Url(text("secret")));
    case "policy":
      return await broker.setPolicy(text("name"), call["policy"]);
    case "revoke":
      return await broker.revoke(text("name"));
    case "list":
      return { resources: broker.list() };
    default:
      throw new BrokerError("malformed", "There is no such request.");
  }
}

/**
 * Asks a running broker. @returns what it answers.
 * @throws BrokerError with the broker's own code, or `unavailable` if none answers at `path`.
 */
export async function callAdmin(
  path: string,
  call: AdminCall,
): Promise<{ readonly [name: string]: unknown }> {
  const body = utf8(
    JSON.stringify(call, (_, value: unknown) =>
      value instanceof Uint8Array ? toBase64Url(value) : value,
    ),
  );
  const bytes = await new Promise<Uint8Array>((resolve, reject) => {
    const request = httpRequest({ socketPath: path, method: "POST", path: "/" }, (response) => {
      read(response).then(resolve, reject);
    });
    request.once("error", (cause) => {
      reject(
        new BrokerError("unavailable", `No broker answers at ${path}; start it first.`, { cause }),
      );
    });
    request.end(body);
  });
  body.fill(0);
  const value = JSON.parse(fromUtf8(bytes)) as { readonly [name: string]: unknown };
  const { error } = value;
  if (!isObject(error)) return value;
  const code = brokerErrorCodes.find((known) => known === error["code"]);
  // Errors of other packages (a policy's form) keep their message.
  throw new BrokerError(
    code ?? ("invalid-argument" satisfies BrokerErrorCode),
    String(error["message"]),
  );
}

async function read(stream: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of stream) {
    length += part.length;
    if (length > maxBodyBytes) {
      throw new BrokerError("limit-exceeded", `A message has at most ${maxBodyBytes} bytes.`);
    }
    parts.push(part);
  }
  return new Uint8Array(Buffer.concat(parts));
}
