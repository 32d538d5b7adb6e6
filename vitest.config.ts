import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    environment: "node",
    include: ["{sdk,services,worker,test,infra}/**/*.test.{ts,tsx,mjs}"],
    exclude: ["**/node_modules/**", "**/dist/**", "test/chaos/!(short|mutations).test.ts"],
    globalSetup: ["./test/harness/postgres-setup.ts"],
    // Tests start real databases, workers and compilers: two at a time is what a small machine carries.
    pool: "forks",
    maxWorkers: 2,
    testTimeout: 60_000,
    hookTimeout: 120_000,
    teardownTimeout: 30_000,
  },
});
