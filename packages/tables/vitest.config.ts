import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/tables", include: ["test/**/*.test.ts"] },
});
