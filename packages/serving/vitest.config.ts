import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    name: "@vivarium/serving",
    include: ["test/**/*.test.ts"],
    // A bound on hangs, not on speed: the machines that run this are shared and slow.
    testTimeout: 120_000,
    hookTimeout: 120_000,
  },
});
