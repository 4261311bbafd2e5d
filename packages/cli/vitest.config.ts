import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/cli", include: ["test/**/*.test.ts"] },
});
