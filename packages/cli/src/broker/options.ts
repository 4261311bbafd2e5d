/** Options of the `broker` commands, and where a broker's files lie. */
import { join } from "node:path";
import type { State } from "../state.ts";

export interface InitOptions {
  readonly name: string;
}
export interface ServeOptions {
  readonly key: string;
  readonly listen: string;
  readonly collateral?: readonly string[];
  readonly metrics?: string;
  readonly checkpoint?: string;
  readonly witness?: string;
  readonly witnessKey?: string;
}
export interface PutOptions {
  readonly secret: string;
  readonly policy: string;
  readonly owner: string;
  readonly expires?: string;
}
export interface RotateOptions {
  readonly secret: string;
}
export interface PolicyOptions {
  readonly policy: string;
}
export interface GetOptions {
  readonly url: string;
  readonly pin: string;
  readonly from?: string;
  readonly tpm?: string;
  readonly output: string;
}

export function brokerPaths(
  state: State,
): Readonly<Record<"log" | "auditKey" | "store" | "cert" | "tlsKey" | "socket", string>> {
  const at = (name: string): string => join(state.broker, name);
  return {
    log: at("log"),
    auditKey: at("audit.key"),
    store: at("store.sealed"),
    cert: at("tls.pem"),
    tlsKey: at("tls.key"),
    socket: at("admin.sock"),
  };
}
