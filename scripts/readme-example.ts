/** Puts `examples/psi.ts` into both READMEs, between markers: what readers see is what CI runs. */
import { writeFileSync } from "node:fs";
import { readText } from "./files.ts";

const example = readText("examples/psi.ts").trimEnd();
const begin = "<!-- example:begin examples/psi.ts -->";
const end = "<!-- example:end -->";

for (const file of ["README.md", "README.zh-CN.md"]) {
  const text = readText(file);
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from === -1 || to < from) throw new Error(`${file} has lost its markers`);
  const before = text.slice(0, from + begin.length);
  writeFileSync(file, `${before}\n\n\`\`\`ts\n${example}\n\`\`\`\n\n${text.slice(to)}`);
}
