import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/core", include: ["test/**/*.test.ts"] },
});
