import { defineConfig } from "vitest/config";

export default defineConfig({
  test: { name: "@vivarium/channel", include: ["test/**/*.test.ts"] },
});
