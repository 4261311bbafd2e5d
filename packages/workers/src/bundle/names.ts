/**
 * Names of bundled files that do not depend on where the build runs. esbuild writes each module's
 * path, relative to the working directory, into a comment and into the wrappers of CommonJS
 * modules; another checkout, or a dependency hoisted elsewhere, would change the digest.
 */
import { readFileSync, realpathSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";

/**
 * Replaces exactly the texts that esbuild made of its inputs: a comment line of its own, and the
 * key of a CommonJS wrapper.
 * @param inputs keys of esbuild's metafile, which are those paths.
 */
export function stableNames(text: string, inputs: readonly string[], base: string): string {
  const names = new Map<string, string>();
  for (const input of inputs) {
    if (!/^[a-z-]+:/.test(input)) names.set(input, stableName(resolve(base, input), base));
  }
  return text
    .split("\n")
    .map((line) => {
      if (line.startsWith("// ")) {
        const name = names.get(line.slice(3));
        return name === undefined ? line : `// ${name}`;
      }
      const key = /^ {2}"([^"\n]+)"\(/.exec(line)?.[1];
      const name = key === undefined ? undefined : names.get(key);
      return key === undefined || name === undefined
        ? line
        : `  ${JSON.stringify(name)}${line.slice(key.length + 4)}`;
    })
    .join("\n");
}

const packages = new Map<string, { readonly directory: string; readonly name: string } | null>();

/** `package@version/path`, or the path relative to the entry's directory outside any package. */
function stableName(path: string, base: string): string {
  const owner = owningPackage(dirname(path));
  const slashes = (text: string) => text.replaceAll("\\", "/");
  if (owner === null) return slashes(relative(base, path));
  return `${owner.name}/${slashes(relative(owner.directory, path))}`;
}

function owningPackage(directory: string): { directory: string; name: string } | null {
  const known = packages.get(directory);
  if (known !== undefined) return known;
  const found = readPackage(directory);
  const parent = dirname(directory);
  const owner = found ?? (parent === directory ? null : owningPackage(parent));
  packages.set(directory, owner);
  return owner;
}

function readPackage(directory: string): { directory: string; name: string } | null {
  try {
    const document: unknown = JSON.parse(readFileSync(join(directory, "package.json"), "utf8"));
    if (typeof document !== "object" || document === null || !("name" in document)) return null;
    const { name } = document;
    const version = "version" in document ? document.version : undefined;
    if (typeof name !== "string") return null;
    return {
      directory: realpathSync(directory),
      name: typeof version === "string" ? `${name}@${version}` : name,
    };
  } catch {
    return null;
  }
}
