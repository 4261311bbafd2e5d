import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/psi", include: ["test/**/*.test.ts"] },
});
