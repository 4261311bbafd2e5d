import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/seal", include: ["test/**/*.test.ts"] },
});
