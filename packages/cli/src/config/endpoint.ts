/** `host:port` as people write it. */

export interface Endpoint {
  /** Name or address, IPv6 without brackets. */
  readonly host: string;
  readonly port: number;
}

/**
 * @param anyPort allows port 0: the system chooses one, which only makes sense for listening.
 * @returns the endpoint, or what is wrong with the text.
 */
export function parseEndpoint(text: string, anyPort: boolean): Endpoint | string {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]{1,253})):([0-9]{1,5})$/.exec(text);
  if (match === null) return "must be host:port; IPv6 addresses in brackets, as [::1]:7443";
  const port = Number(match[3]);
  if (port > 65_535 || (port === 0 && !anyPort)) return `has port ${port}, must be 1 to 65535`;
  return { host: (match[1] ?? match[2]) as string, port };
}
