import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/workers", include: ["test/**/*.test.ts"] },
});
