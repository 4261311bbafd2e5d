import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/ops", include: ["test/**/*.test.ts"] },
});
