/** SM3 (GB/T 32905-2016) and HMAC over it. No TEE of Hygon's can be verified without. */
import { concat } from "@vivarium/core";

const initial = [
  0x7380166f, 0x4914b2b9, 0x172442d7, 0xda8a0600, 0xa96f30bc, 0x163138aa, 0xe38dee4d, 0xb0fb0e4e,
] as const;
const blockBytes = 64;

const rotate = (value: number, by: number): number => (value << by) | (value >>> (32 - by));

/** Section 5.3: message expansion and compression of one block into `state`. */
function compress(state: Uint32Array, view: DataView, offset: number, w: Uint32Array): void {
  for (let j = 0; j < 16; j++) w[j] = view.getUint32(offset + 4 * j);
  for (let j = 16; j < 68; j++) {
    const x = (w[j - 16] as number) ^ (w[j - 9] as number) ^ rotate(w[j - 3] as number, 15);
    const p1 = x ^ rotate(x, 15) ^ rotate(x, 23);
    w[j] = p1 ^ rotate(w[j - 13] as number, 7) ^ (w[j - 6] as number);
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  for (let j = 0; j < 64; j++) {
    const early = j < 16;
    const t = early ? 0x79cc4519 : 0x7a879d8a;
    const a12 = rotate(a, 12);
    const ss1 = rotate((a12 + e + rotate(t, j % 32)) | 0, 7);
    const ss2 = ss1 ^ a12;
    const ff = early ? a ^ b ^ c : (a & b) | (a & c) | (b & c);
    const gg = early ? e ^ f ^ g : (e & f) | (~e & g);
    const tt1 = (ff + d + ss2 + ((w[j] as number) ^ (w[j + 4] as number))) | 0;
    const tt2 = (gg + h + ss1 + (w[j] as number)) | 0;
    d = c;
    c = rotate(b, 9);
    b = a;
    a = tt1;
    h = g;
    g = rotate(f, 19);
    f = e;
    e = tt2 ^ rotate(tt2, 9) ^ rotate(tt2, 17);
  }
  for (const [i, value] of [a, b, c, d, e, f, g, h].entries()) {
    state[i] = (state[i] as number) ^ value;
  }
}

/** 32 bytes. */
export function sm3(data: Uint8Array): Uint8Array<ArrayBuffer> {
  const padded = new Uint8Array(Math.ceil((data.length + 9) / blockBytes) * blockBytes);
  padded.set(data);
  padded[data.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setBigUint64(padded.length - 8, BigInt(data.length) * 8n);
  const state = Uint32Array.from(initial);
  const w = new Uint32Array(68);
  for (let offset = 0; offset < padded.length; offset += blockBytes) {
    compress(state, view, offset, w);
  }
  const out = new Uint8Array(32);
  const words = new DataView(out.buffer);
  for (const [i, word] of state.entries()) words.setUint32(4 * i, word);
  return out;
}

/** HMAC (RFC 2104) with SM3. */
export function hmacSm3(key: Uint8Array, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const block = new Uint8Array(blockBytes);
  block.set(key.length > blockBytes ? sm3(key) : key);
  const pad = (byte: number): Uint8Array => block.map((value) => value ^ byte);
  return sm3(concat(pad(0x5c), sm3(concat(pad(0x36), data))));
}
