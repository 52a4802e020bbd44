// Test runner: where tests run, how long they may take, what is printed.
import { join } from "node:path";
import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["tests/**/*.test.ts"],
    // Processes, not threads: native addons (lmdb) keep state per process, and a test may end one.
    pool: "forks",
    // Clusters and databases bring threads and processes of their own.
    maxWorkers: 2,
    // As the launcher sets them (bin/orrery.cjs).
    env: {
      MSGPACKR_NATIVE_ACCELERATION_DISABLED: "true",
      NODE_COMPILE_CACHE: join(import.meta.dirname, "node_modules", ".cache", "orrery"),
    },
    testTimeout: 30_000,
    hookTimeout: 30_000,
    reporters: ["default", "./tests/support/count-reporter.ts"],
  },
});
