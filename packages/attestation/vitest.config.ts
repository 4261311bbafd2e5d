import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/attestation", include: ["test/**/*.test.ts"] },
});
