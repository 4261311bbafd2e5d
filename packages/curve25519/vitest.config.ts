import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/curve25519", include: ["test/**/*.test.ts"] },
});
