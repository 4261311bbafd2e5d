/**
 * The index files are the contract of each package: no `export *`, every entry of the exports map
 * has its source, every package has the files and fields that all of them have.
 */
import { existsSync, globSync, readJson, readText, report } from "./files.ts";

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description?: string;
  readonly license?: string;
  readonly type?: string;
  readonly sideEffects?: boolean;
  readonly exports?: Readonly<
    Record<string, string | { readonly types: string; readonly default: string }>
  >;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const problems: string[] = [];
const root = readJson<Manifest>("package.json");
const manifests = globSync("packages", /^[^/]+\/package\.json$/);

for (const file of manifests) {
  const folder = `packages/${file.replace("/package.json", "")}`;
  const manifest = readJson<Manifest>(`packages/${file}`);
  const want = (holds: boolean, what: string): void => {
    if (!holds) problems.push(`${folder}: ${what}`);
  };
  want(
    manifest.version === root.version,
    `version ${manifest.version}, the root has ${root.version}`,
  );
  want(manifest.license === "Apache-2.0", "license is not Apache-2.0");
  want(manifest.type === "module" && manifest.sideEffects === false, "type or sideEffects");
  want((manifest.description ?? "") !== "", "no description");
  want(existsSync(`${folder}/README.md`), "no README.md");
  want(existsSync(`${folder}/src/index.ts`), "no src/index.ts");
  for (const [entry, target] of Object.entries(manifest.exports ?? {})) {
    if (typeof target === "string") {
      want(existsSync(`${folder}/${target}`), `exports["${entry}"] names no file`);
      continue;
    }
    const source = target.default.replace("./dist/", "./src/").replace(/\.js$/, ".ts");
    want(existsSync(`${folder}/${source}`), `exports["${entry}"] has no source ${source}`);
    want(
      target.types === target.default.replace(/\.js$/, ".d.ts"),
      `exports["${entry}"] names types of another file`,
    );
  }
  for (const [name, version] of Object.entries(manifest.dependencies ?? {})) {
    // A range in a security framework is a door for whoever publishes the next patch release.
    want(/^\d+\.\d+\.\d+(-[\w.]+)?$/.test(version), `${name} is not pinned exactly: ${version}`);
  }
  for (const index of globSync(`${folder}/src`, /(^|\/)index\.ts$/)) {
    want(!/^\s*export\s*\*/m.test(readText(`${folder}/src/${index}`)), `${index} has "export *"`);
  }
}

report("exports", problems, `${manifests.length} packages, all as they should be`);
