/**
 * Gives the memory of a cipher's output back at once. Every `update` of `node:crypto` returns fresh
 * memory, which the collector frees late: a long file would walk through new pages all the time, and
 * faulting them in costs as much as AES-GCM does. A transfer to a port that is closed detaches the
 * memory, and nobody receives it.
 */
import { MessageChannel, type MessagePort } from "node:worker_threads";

/** Smaller pieces come from the allocator's own lists, where nothing is won. */
const worthwhile = 64 * 1024;

/** Above every chunk, below glibc's own bound of 32 MiB. */
const untouched = 24 * 1024 * 1024;

let sink: MessagePort | undefined;

/** @param bytes all of an `ArrayBuffer` that nobody else uses; empty afterwards, or untouched if small. */
export function release(bytes: Uint8Array): void {
  const { buffer } = bytes;
  if (bytes.length < worthwhile || bytes.length !== buffer.byteLength) return;
  if (!(buffer instanceof ArrayBuffer)) return;
  if (sink === undefined) {
    sink = new MessageChannel().port1;
    sink.close();
    // glibc maps big pieces afresh each time until one as big has been freed; this one is never touched.
    sink.postMessage(undefined, [new ArrayBuffer(untouched)]);
  }
  sink.postMessage(undefined, [buffer]);
}
