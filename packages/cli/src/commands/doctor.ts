/** `doctor`. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";

export function registerDoctor(program: Command, shell: Shell): void {
  complete(
    program
      .command("doctor")
      .description("look at this machine: versions, engines, devices, what falls back and why"),
    shell,
    "vivarium doctor",
    async () => (await import("../doctor/doctor.ts")).doctor,
  );
}
