import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";
import { mutate } from "./mutations.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const name = process.env.CHAOS_MUTATION ?? "";

/** What has a model of its own. */
const MODELS: Record<string, string> = { slots: "services/control/src/runs/admission.prop.test.ts" };

/** Runs the model of runs with a mutation in it: it must fail. */
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
    // A module with one mutation in it must not be kept for a run with another, or with none.
    fsModuleCache: false,
    env: { TOWPATH_MODEL_HISTORIES: "150" },
    include: [MODELS[name] ?? "services/control/src/runs/model/model.prop.test.ts"],
    globalSetup: ["./test/harness/postgres-setup.ts"],
    pool: "forks",
    testTimeout: 300_000,
    hookTimeout: 120_000,
  },
});
