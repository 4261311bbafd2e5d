/** What both ends of a TLS connection have in common. */
import { constants } from "node:crypto";

/** The one protocol spoken. */
export const alpnProtocol: string = "vivarium/1";

/** TLS 1.3 and no session tickets. */
export const contextOptions: {
  readonly minVersion: "TLSv1.3";
  readonly maxVersion: "TLSv1.3";
  readonly secureOptions: number;
} = {
  minVersion: "TLSv1.3",
  maxVersion: "TLSv1.3",
  secureOptions: constants.SSL_OP_NO_TICKET,
};

/** The certificate chain proves nothing here, so it is not judged; `checkTls` looks at the key. */
export const connectionOptions: {
  readonly ALPNProtocols: string[];
  readonly rejectUnauthorized: false;
} = { ALPNProtocols: [alpnProtocol], rejectUnauthorized: false };
