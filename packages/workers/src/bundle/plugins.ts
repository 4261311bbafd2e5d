/** esbuild plugins that make a bundle self-contained. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type { Plugin } from "esbuild";
import { WorkersError } from "../errors.ts";
import { guardedModules, moduleStandIn } from "./prelude.ts";

/** Import specifier of the tasks entry inside a pool's thread file. */
export const tasksSpecifier = "vivarium:tasks";

/** Directory of piscina's compiled files, as the `workers` package resolves it. */
export function piscinaDirectory(): string {
  return dirname(createRequire(import.meta.url).resolve("piscina"));
}

function exactly(names: readonly string[]): RegExp {
  const escaped = names.map((name) => name.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&"));
  return new RegExp(`^(?:${escaped.join("|")})$`);
}

/** `node:module` could make an unrestricted `require`. */
export function guardModules(): Plugin {
  return {
    name: "vivarium-guard",
    setup(build) {
      build.onResolve({ filter: exactly(guardedModules) }, () => ({
        path: "module",
        namespace: "vivarium-stand-in",
      }));
      build.onLoad({ filter: /.*/, namespace: "vivarium-stand-in" }, () => ({
        contents: moduleStandIn,
        loader: "js",
      }));
    },
  };
}

/** Replaces imports of native packages by the addon beside the bundle. */
export function nativeShims(replacements: ReadonlyMap<string, string>): Plugin {
  return {
    name: "vivarium-native",
    setup(build) {
      if (replacements.size === 0) return;
      build.onResolve({ filter: exactly([...replacements.keys()]) }, ({ path }) => ({
        path: replacements.get(path) as string,
        namespace: "vivarium-native",
      }));
      build.onLoad({ filter: /.*/, namespace: "vivarium-native" }, ({ path }) => ({
        contents: `module.exports = __vivariumLoadNative(${JSON.stringify(path)});\n`,
        loader: "js",
      }));
    },
  };
}

/**
 * Piscina inside a bundle. Its pool starts `worker.js` beside itself, and that loads a task by the
 * path it is sent: here the pool starts the bundle's tasks file, which runs the one handler that is
 * bundled with it, whatever path a message names. (Its own way also needs `new Function`, which the
 * flags of a trust domain forbid.)
 */
export function bundledPiscina(tasksFile: string): Plugin {
  const directory = piscinaDirectory();
  const pool = join(directory, "index.js");
  const thread = join(directory, "worker.js");
  return {
    name: "vivarium-piscina",
    setup(build) {
      build.onResolve({ filter: /^@napi-rs\/nice$/ }, () => ({
        path: "nice",
        namespace: "vivarium-absent",
      }));
      build.onLoad({ filter: /.*/, namespace: "vivarium-absent" }, () => ({
        contents: "module.exports = { nice() { return 0; } };\n",
        loader: "js",
      }));
      build.onLoad({ filter: /piscina[\\/]dist[\\/](?:index|worker)\.js$/ }, async ({ path }) => {
        if (path !== pool && path !== thread) return undefined;
        const source = await readFile(path, "utf8");
        const contents =
          path === pool
            ? replaceOnce(
                source,
                "(0, node_path_1.resolve)(__dirname, 'worker.js')",
                `(0, node_path_1.resolve)(__dirname, ${JSON.stringify(tasksFile)})`,
              )
            : replaceSpan(
                source,
                "let importESMCached;",
                "// We should only receive this message once",
                `async function getHandler() { return require(${JSON.stringify(tasksSpecifier)}).default; }\n`,
              );
        return { contents, loader: "js" };
      });
    },
  };
}

/** A piscina whose text differs from the pinned version's must stop the build, not be half patched. */
function replaceOnce(source: string, from: string, to: string): string {
  const at = source.indexOf(from);
  if (at < 0 || source.indexOf(from, at + 1) >= 0) throw changed();
  return source.slice(0, at) + to + source.slice(at + from.length);
}

function replaceSpan(source: string, from: string, until: string, to: string): string {
  const start = source.indexOf(from);
  const end = source.indexOf(until);
  if (start < 0 || end < start) throw changed();
  return source.slice(0, start) + to + source.slice(end);
}

function changed(): WorkersError {
  return new WorkersError(
    "build-failed",
    "This version of piscina differs from the one that bundles are made for; pin it to 5.3.2.",
  );
}

/** Points the tasks specifier of the thread file at the tasks entry. */
export function tasksEntry(entry: string): Plugin {
  return {
    name: "vivarium-tasks",
    setup(build) {
      build.onResolve({ filter: exactly([tasksSpecifier]) }, () => ({ path: entry }));
    },
  };
}
