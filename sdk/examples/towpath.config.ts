import { defineConfig, deployment, ociLayout, pythonFlow } from "towpath/config";
import { z } from "zod";
import { DATA_FOLDER_VARIABLE } from "./src/config.ts";
import { vegaDataFolder } from "./src/data-file.ts";
import { flights } from "./src/flights/flow.ts";
import { penguins } from "./src/penguins/flow.ts";
import { missingForPython } from "./src/python.ts";
import { tuning } from "./src/tuning/flow.ts";

/** The data is not deployed. The deployments' environment names its folder, and runs read it on the worker. */
const env = { [DATA_FOLDER_VARIABLE]: vegaDataFolder("the data files") };

const MINUTE_MS = 60_000;

/** The example in Python is deployed where Python is installed. */
function inPython() {
  const missing = missingForPython();
  if (missing === null)
    return [
      pythonFlow({
        module: "python/penguins.py",
        function: "penguins_python",
        name: "penguins-python",
        env,
        timeoutMs: MINUTE_MS,
      }),
    ];
  console.error(
    `The example penguins-python is not deployed: ${missing}. Install Python 3.10 or later, and start again.`,
  );
  return [];
}

export default defineConfig({
  project: "examples",
  pool: "local",
  registry: ociLayout(".towpath/registry", { name: "local" }),
  files: ["python/*.py", "python/data/**"],
  deployments: [
    deployment(flights, { env, timeoutMs: 10 * MINUTE_MS }),
    deployment(penguins, { env, timeoutMs: MINUTE_MS }),
    deployment(tuning, { env, timeoutMs: MINUTE_MS }),
    ...inPython(),
    deployment({
      name: "weather",
      command: ["python3", "python/train.py"],
      input: z.object({
        epochs: z.int().min(1).max(10_000).default(20).describe("Passes over the training days."),
        learningRate: z.number().min(1e-6).max(10).default(0.05),
        seed: z.int().default(1),
        heldOutDays: z
          .int()
          .min(30)
          .max(1_000_000)
          .default(365)
          .describe("The last days, which are held out for the evaluation."),
        data: z
          .string()
          .optional()
          .describe("Path of a CSV of daily weather. Without it: the copy beside the script."),
        output: z.string().optional().describe("Path for the model. Without it, the model is not written."),
      }),
      timeoutMs: MINUTE_MS,
    }),
  ],
});
