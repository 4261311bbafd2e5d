/** How the runtime of a trust domain is started: its flags, which are measured, and its environment. */

/**
 * The flags, in a fixed order: their digest is in the statement.
 * @param native whether the bundle has native libraries; without any, none can be opened at all.
 */
export function runtimeFlags(options: {
  readonly memoryMb: number;
  readonly native: boolean;
}): readonly string[] {
  return [
    // No `__proto__`: the usual way in for prototype pollution.
    "--disable-proto=delete",
    // No eval and no Function constructor: text from outside never becomes code.
    "--disallow-code-generation-from-strings",
    // No code from $HOME/.node_modules or NODE_PATH.
    "--no-global-search-paths",
    // An openssl.cnf of the host could load a provider, that is, a library nobody measured.
    "--openssl-config=/dev/null",
    // Warnings quote what they warn of.
    "--no-warnings",
    ...(options.native ? [] : ["--no-addons"]),
    `--max-old-space-size=${options.memoryMb}`,
  ];
}

/**
 * The whole environment of a trust domain. An allow-list of nothing: NODE_OPTIONS, NODE_EXTRA_CA_CERTS,
 * LD_PRELOAD, LD_LIBRARY_PATH, OPENSSL_CONF and whatever comes next are not inherited.
 */
export function workerEnvironment(): Record<string, string> {
  return { LANG: "C.UTF-8", TZ: "UTC" };
}
