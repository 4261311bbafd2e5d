/**
 * What the documents claim: the two READMEs say the same, links lead somewhere, commands exist,
 * decisions are numbered without gaps. Reads the built command line for the names of its commands.
 */
import { spawnSync } from "node:child_process";
import { dirname, join, normalize } from "node:path";
import { existsSync, globSync, readJson, readText, report } from "./files.ts";

const problems: string[] = [];
const documents = globSync(".", /\.md$/);

/** A fenced block: its language and its lines. */
interface Block {
  readonly language: string;
  readonly lines: readonly string[];
}

function blocksOf(text: string): Block[] {
  return [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].map(([, language = "", body = ""]) => ({
    language,
    lines: body.trimEnd().split("\n"),
  }));
}

/** The text without fenced blocks and without inline code: what is left can hold links. */
function proseOf(text: string): string {
  return text.replace(/^```[\s\S]*?^```/gm, "").replace(/`[^`\n]*`/g, "");
}

// 1. The translation has the same sections and the same commands as the original.
function shapeOf(file: string): { headings: string[]; blocks: string[] } {
  const text = readText(file);
  const outline = text.replace(/^```[\s\S]*?^```/gm, "").match(/^#{1,6} /gm) ?? [];
  const commands = blocksOf(text).filter(({ language }) => ["sh", "ts", "yaml"].includes(language));
  return {
    headings: outline.map((marks) => marks.trim()),
    blocks: commands.map(({ lines }) =>
      lines.map((line) => line.replace(/\s+# .*$/, "")).join("\n"),
    ),
  };
}
const english = shapeOf("README.md");
const chinese = shapeOf("README.zh-CN.md");
if (english.headings.join() !== chinese.headings.join()) {
  problems.push(
    `README.md and README.zh-CN.md differ in headings: ${english.headings.join(" ")} / ${chinese.headings.join(" ")}`,
  );
}
for (let i = 0; i < Math.max(english.blocks.length, chinese.blocks.length); i++) {
  if (english.blocks[i] !== chinese.blocks[i]) {
    problems.push(`README.md and README.zh-CN.md differ in block ${i + 1}: ${english.blocks[i]}`);
  }
}

// 2. Relative links and their anchors.
function anchorsOf(file: string): Set<string> {
  const headings = readText(file).match(/^#{1,6} .*$/gm) ?? [];
  return new Set(
    headings.map((heading) =>
      heading
        .replace(/^#+ /, "")
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, "")
        .trim()
        .replace(/\s/g, "-"),
    ),
  );
}
for (const file of documents) {
  for (const [, target = ""] of proseOf(readText(file)).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) continue;
    const [path = "", anchor] = target.split("#");
    const to = path === "" ? file : normalize(join(dirname(file), path));
    if (!existsSync(to)) problems.push(`${file} links to ${target}, which does not exist`);
    else if (anchor !== undefined && to.endsWith(".md") && !anchorsOf(to).has(anchor)) {
      problems.push(`${file} links to ${target}, which has no such heading`);
    }
  }
}

// 3. Test files that documents name in code spans.
for (const file of documents) {
  for (const [, path = ""] of readText(file).matchAll(
    /`((?:packages|test|examples|bench|docs|scripts)\/[\w./-]+\.(?:ts|mjs|md|json|yaml))`/g,
  )) {
    // From the root, or beside the document: a package's README names its own tests.
    if (!existsSync(path) && !existsSync(join(dirname(file), path))) {
      problems.push(`${file} names ${path}, which does not exist`);
    }
  }
}

// 4. Every attack that the threat model claims to withstand names a test or check that exists.
const claims =
  readText("SECURITY.md").split("\n## Attacks and tests\n")[1]?.split("\n## ")[0] ?? "";
const rows = claims.split("\n").filter((line) => /^\| T\d/.test(line));
if (rows.length === 0) problems.push("SECURITY.md has lost its table of attacks");
for (const row of rows) {
  const [, id = "", , , evidence = ""] = row.split("|").map((cell) => cell.trim());
  const files = [...evidence.matchAll(/`([^`]+)`/g)].map(([, path = ""]) => path);
  if (
    files.length === 0 ||
    !files.every((path) => /\.(test|bench)\.ts$|^scripts\/.+\.ts$/.test(path))
  ) {
    problems.push(`SECURITY.md: ${id} must name the tests that show it, not "${evidence}"`);
  }
}

// 5. Commands: scripts of package.json, and commands and flags of the built command line.
const { scripts } = readJson<{ readonly scripts: Readonly<Record<string, string>> }>(
  "package.json",
);
const main = "packages/cli/dist/main.js";
const help = new Map<string, string | undefined>();
function helpOf(words: readonly string[]): string | undefined {
  const key = words.join(" ");
  if (!help.has(key)) {
    const { status, stdout } = spawnSync(process.execPath, [main, ...words, "--help"], {
      encoding: "utf8",
      timeout: 30_000,
    });
    // Asked for help on a command that it does not have, a parser shows the help of the parent.
    const known = status === 0 && new RegExp(`vivarium ${key}( |$)`, "m").test(stdout);
    help.set(key, known ? stdout : undefined);
  }
  return help.get(key);
}
function checkCommand(file: string, line: string): void {
  const script = /^npm run (?:--silent )?([\w:-]+)/.exec(line)?.[1];
  if (script !== undefined && !(script in scripts)) {
    problems.push(`${file}: "${line}": package.json has no script ${script}`);
  }
  if (!line.startsWith("vivarium ")) return;
  const words = line
    .replace(/\s+#.*$/, "")
    .split(/\s+/)
    .slice(1);
  const command = words.slice(0, 2).filter((word) => /^[a-z]+$/.test(word));
  const text = helpOf(command) ?? helpOf(command.slice(0, 1));
  if (text === undefined) {
    problems.push(`${file}: "${line}": there is no such command`);
    return;
  }
  for (const flag of words.filter((word) => /^--[a-z]/.test(word))) {
    const name = flag.split("=")[0] ?? flag;
    if (!text.includes(name)) problems.push(`${file}: "${line}": the command has no ${name}`);
  }
}
if (!existsSync(main)) {
  problems.push(`${main} does not exist: run "npm run build" first`);
} else {
  for (const file of documents) {
    for (const { language, lines } of blocksOf(readText(file))) {
      if (language !== "sh") continue;
      for (const line of lines) {
        for (const part of line.replace(/^\$ /, "").split("&&")) checkCommand(file, part.trim());
      }
    }
  }
}

// 6. Decisions: no number twice, each with a title of its number. Gaps are numbers given out for work to come.
const numbers = new Set<string>();
for (const name of globSync("docs/decisions", /^\d{4}-.*\.md$/)) {
  const number = name.slice(0, 4);
  if (numbers.has(number)) problems.push(`docs/decisions/${name}: number ${number} is taken`);
  numbers.add(number);
  if (!readText(`docs/decisions/${name}`).startsWith(`# ${number}: `)) {
    problems.push(`docs/decisions/${name} does not begin with "# ${number}: "`);
  }
}

report("documents", problems, `${documents.length} files, their links and commands exist`);
