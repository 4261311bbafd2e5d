/**
 * The first lines of every file of a bundle. They take away the ways in which code could load
 * what is not in the manifest: `require` knows built-in modules only, and a native library opens
 * only from the bundle's own directory, by a name of the manifest.
 */

/** Modules whose use would step around the prelude. They get a stand-in. */
export const guardedModules: readonly string[] = ["module", "node:module"];

/** @param native names of the manifest's native libraries. */
export function prelude(native: readonly string[]): string {
  return `import { createRequire as __vivariumCreateRequire, isBuiltin as __vivariumIsBuiltin } from "node:module";
import { dirname as __vivariumDirname, join as __vivariumJoin } from "node:path";
import { fileURLToPath as __vivariumFileURLToPath } from "node:url";
import { isMainThread as __vivariumIsMainThread } from "node:worker_threads";
// Without a handler SIGUSR1 opens the inspector: a debugger inside the trust domain.
if (__vivariumIsMainThread) process.on("SIGUSR1", () => undefined);
const __filename = __vivariumFileURLToPath(import.meta.url);
const __dirname = __vivariumDirname(__filename);
const __vivariumBuiltin = __vivariumCreateRequire(import.meta.url);
const require = Object.assign(
  (id) => {
    if (typeof id === "string" && __vivariumIsBuiltin(id) && !${JSON.stringify(guardedModules)}.includes(id)) return __vivariumBuiltin(id);
    throw Object.assign(new Error("Not part of this bundle: " + String(id)), { code: "MODULE_NOT_FOUND" });
  },
  { resolve: (id) => { throw Object.assign(new Error("Not part of this bundle: " + String(id)), { code: "MODULE_NOT_FOUND" }); }, cache: Object.create(null) },
);
const __vivariumNative = new Map(${JSON.stringify([...native].sort())}.map((name) => [name, __vivariumJoin(__dirname, name)]));
const __vivariumDlopen = process.dlopen.bind(process);
process.dlopen = (module, path, ...flags) => {
  for (const allowed of __vivariumNative.values()) if (path === allowed) return __vivariumDlopen(module, path, ...flags);
  throw Object.assign(new Error("A native library outside the manifest is not loaded: " + String(path)), { code: "ERR_DLOPEN_FAILED" });
};
const __vivariumLoadNative = (name) => {
  const module = { exports: {} };
  process.dlopen(module, __vivariumNative.get(name));
  return module.exports;
};
`;
}

/** What bundled code gets for \`node:module\`: the restricted \`require\` and nothing else. */
export const moduleStandIn = `const create = () => require;
const builtin = (id) => typeof id === "string" && id.startsWith("node:");
module.exports = { createRequire: create, isBuiltin: builtin, builtinModules: [], default: undefined };
module.exports.default = module.exports;
`;
