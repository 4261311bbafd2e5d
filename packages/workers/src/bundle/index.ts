/** Build-time side: makes the code of a trust domain. Needs esbuild; a running trust domain does not. */
export type { Bundle, BundleOptions, NativeFile } from "./build.ts";
export { buildBundle } from "./build.ts";
