/** Output of a process, line by line, into a log: bounded in length and rate, control characters out. */
import type { Readable } from "node:stream";
import { StringDecoder } from "node:string_decoder";
import type { Clock, Log } from "@vivarium/core";
import { launchLimits } from "./limits.ts";
import { printable } from "./messages.ts";

/** @param event name of the log event, such as `worker.stdout`. */
export function logLines(
  stream: Readable,
  event: string,
  role: string,
  log: Log,
  clock: Clock,
): void {
  const decoder = new StringDecoder("utf8");
  let line = "";
  let second = 0;
  let lines = 0;
  const emit = () => {
    const now = Math.floor(clock.monotonic() / 1000);
    if (now !== second) {
      if (lines > launchLimits.maxLinesPerSecond) {
        const dropped = lines - launchLimits.maxLinesPerSecond;
        log.event("warn", "worker.output-dropped", { role, lines: dropped });
      }
      second = now;
      lines = 0;
    }
    lines += 1;
    if (lines <= launchLimits.maxLinesPerSecond) {
      log.event("info", event, { role, line: printable(line, launchLimits.maxLineChars) });
    }
    line = "";
  };
  stream.on("data", (chunk: Buffer) => {
    const parts = decoder.write(chunk).split("\n");
    parts.forEach((part, i) => {
      // A line without an end must not fill the launcher's memory.
      if (line.length <= launchLimits.maxLineChars)
        line += part.slice(0, launchLimits.maxLineChars + 1);
      if (i < parts.length - 1) emit();
    });
  });
  stream.on("end", () => {
    if (line.length > 0) emit();
  });
  stream.on("error", () => undefined);
}
