// Test runner: where tests run, in which order, how long they may take, what is printed.
import { join } from "node:path";
import { defineConfig } from "vitest/config";

const onMembers = "tests/**/*.hazelcast.test.ts";

export default defineConfig({
  test: {
    // Processes, not threads: native addons (lmdb) keep state per process, and a test may end one.
    pool: "forks",
    // As the launcher sets them (bin/orrery.cjs).
    env: {
      MSGPACKR_NATIVE_ACCELERATION_DISABLED: "true",
      NODE_COMPILE_CACHE: join(import.meta.dirname, "node_modules", ".cache", "orrery"),
    },
    // For hangs only: a loaded machine takes ten times as long as a quiet one.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    reporters: ["default", "./tests/support/count-reporter.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "tests",
          include: ["tests/**/*.test.ts"],
          exclude: [onMembers],
          // Clusters and databases bring threads and processes of their own, and are waited for.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "members",
          include: [onMembers],
          // When all the others are done. Most of their time they wait for failures to be detected.
          maxWorkers: 2,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
