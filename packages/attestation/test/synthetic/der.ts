/** Enough DER to make the certificates that real evidence cannot show: revoked, expired, of nobody. */
import { concat, utf8 } from "@vivarium/core";

export function tlv(tag: number, ...content: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const body = concat(...content);
  const length =
    body.length < 0x80
      ? [body.length]
      : body.length < 0x100
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 0xff];
  return concat(Uint8Array.of(tag, ...length), body);
}

export const sequence = (...content: readonly Uint8Array[]): Uint8Array<ArrayBuffer> =>
  tlv(0x30, ...content);
export const octets = (content: Uint8Array): Uint8Array<ArrayBuffer> => tlv(0x04, content);
export const bits = (content: Uint8Array): Uint8Array<ArrayBuffer> =>
  tlv(0x03, Uint8Array.of(0), content);
export const boolean = (value: boolean): Uint8Array<ArrayBuffer> =>
  tlv(0x01, Uint8Array.of(value ? 0xff : 0));
export const enumerated = (value: number): Uint8Array<ArrayBuffer> =>
  tlv(0x0a, Uint8Array.of(value));

/** A number, or the magnitude of one, big-endian. */
export function integer(value: number | Uint8Array): Uint8Array<ArrayBuffer> {
  let bytes: Uint8Array;
  if (typeof value === "number") {
    const digits = value.toString(16);
    bytes = Uint8Array.from((digits.length % 2 ? `0${digits}` : digits).match(/../g) ?? [], (hex) =>
      Number.parseInt(hex, 16),
    );
  } else {
    let start = 0;
    while (start < value.length - 1 && value[start] === 0) start++;
    bytes = value.subarray(start);
  }
  return tlv(0x02, (bytes[0] ?? 0) >= 0x80 ? concat(Uint8Array.of(0), bytes) : bytes);
}

export function oid(dotted: string): Uint8Array<ArrayBuffer> {
  const [first = 0, second = 0, ...rest] = dotted.split(".").map(Number);
  const bytes = [first * 40 + second, ...rest].flatMap((arc) => {
    const digits = [arc & 0x7f];
    for (let left = Math.floor(arc / 128); left > 0; left = Math.floor(left / 128)) {
      digits.unshift((left & 0x7f) | 0x80);
    }
    return digits;
  });
  return tlv(0x06, Uint8Array.from(bytes));
}

export function commonName(name: string): Uint8Array<ArrayBuffer> {
  return sequence(tlv(0x31, sequence(oid("2.5.4.3"), tlv(0x0c, utf8(name)))));
}

/** GeneralizedTime: every year has the same form. */
export function time(ms: number): Uint8Array<ArrayBuffer> {
  const text = new Date(ms).toISOString().replace(/[-:T]/g, "").slice(0, 14);
  return tlv(0x18, utf8(`${text}Z`));
}

/** r ‖ s as ECDSA-Sig-Value. */
export function ecdsaDer(signature: Uint8Array): Uint8Array<ArrayBuffer> {
  const half = signature.length / 2;
  return sequence(integer(signature.subarray(0, half)), integer(signature.subarray(half)));
}
