/** `sev session` and `sev admit`: the owner's side of a launch of SEV and SEV-ES. */
import type { Command } from "commander";
import { complete, type Shell } from "../command.ts";
import type { AdmitOptions } from "../sev/admit.ts";
import type { SessionOptions } from "../sev/session.ts";

const several = (value: string, before: readonly string[] = []): readonly string[] => [
  ...before,
  value,
];

export function registerSev(program: Command, shell: Shell): void {
  const sev = program
    .command("sev")
    .description(
      "launch SEV and SEV-ES guests of one's own: start a session, admit what measures right",
    );

  complete<SessionOptions>(
    sev
      .command("session")
      .description(
        "verify a platform and wrap transport keys to it; exit code 3 if it is not genuine",
      )
      .argument("<certificates...>", "CEK, PEK, PDH and OCA, in any order, or a chain of sevctl")
      .requiredOption(
        "--policy <number>",
        "guest policy, such as 0x2f: no debugging, ES, no sharing",
      )
      .option("--platform-owner <fingerprint>", "sha256:… of the OCA's key (default: any)")
      .option("--root <file>", "ARK and ASK to trust instead of AMD's, for test sets")
      .requiredOption(
        "--output <name>",
        "writes NAME.godh.b64 and NAME.session.b64 for the host, and NAME.keys, which stays here",
      ),
    shell,
    "vivarium sev session cek.cert pek.cert pdh.cert oca.cert --policy 0x2f --output web",
    async () => (await import("../sev/session.ts")).session,
  );
  complete<AdmitOptions>(
    sev
      .command("admit")
      .description(
        "give a key to a guest whose launch measures what it must; exit code 3 for any other",
      )
      .argument("<keys>", "NAME.keys of `sev session`; removed once the guest is admitted")
      .requiredOption("--measure <base64>", "data of QMP query-sev-launch-measure, 48 bytes")
      .requiredOption("--api <version>", "api-major.api-minor of QMP query-sev, such as 1.55")
      .requiredOption("--build <number>", "build-id of QMP query-sev")
      .option("--digest <hex>", "launch digest that is good; may be repeated", several)
      .option("--reference <file>", "reference set with launch digests; may be repeated", several)
      .option("--days <number>", "how long the guest may attest, at most 366 (default: 30)")
      .option("--identity <name>", "identity that signs (default: the only one)")
      .requiredOption(
        "--output <name>",
        "writes NAME.header.b64 and NAME.secret.b64 for QMP sev-inject-launch-secret",
      ),
    shell,
    "vivarium sev admit web.keys --measure BASE64 --api 1.55 --build 21 --reference web.reference.json --output web",
    async () => (await import("../sev/admit.ts")).admit,
  );
}
