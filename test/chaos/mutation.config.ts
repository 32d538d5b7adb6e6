import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { mutate } from "./mutations.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const name = process.env.CHAOS_MUTATION ?? "";

/** Runs one test file with a mutation in the code under test: it must fail. */
export default defineConfig({
  root: ROOT,
  plugins: [
    {
      name: "mutate",
      enforce: "pre",
      transform: (source: string, id: string) => mutate(name, { path: id.split("?")[0] ?? id, source }),
    },
  ],
  test: {
    // A cached module with one mutation must not serve a run with another mutation, or with none.
    fsModuleCache: false,
    env: { TOWPATH_MODEL_HISTORIES: "150" },
    include: [process.env.CHAOS_TEST ?? ""],
    globalSetup: ["./test/harness/postgres-setup.ts"],
    pool: "forks",
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
});
