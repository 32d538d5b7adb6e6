import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const script = fileURLToPath(new URL("./train.py", import.meta.url));
const hasPython = spawnSync("python3", ["--version"]).status === 0;
let folder = "";

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "towpath-train-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

interface Outcome {
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs the script from another folder, like a worker, with a parameters file or without parameters. */
async function train(parameters?: unknown): Promise<Outcome> {
  const file = join(folder, "parameters.json");
  if (parameters !== undefined) await writeFile(file, JSON.stringify(parameters));
  const environment = parameters === undefined ? [] : [`TOWPATH_PARAMETERS_FILE=${file}`];
  const command = ["-u", "TOWPATH_PARAMETERS_FILE", ...environment, "python3", script];
  return new Promise((resolve) => {
    execFile("env", command, { cwd: folder, timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: typeof error?.code === "number" ? error.code : error ? -1 : 0, stdout, stderr });
    });
  });
}

describe.skipIf(!hasPython)("the training script", { timeout: 90_000 }, () => {
  test("trains with its defaults, prints its progress and exits with 0", async () => {
    const { code, stdout } = await train();
    expect(code).toBe(0);
    expect(stdout).toMatch(/^epoch 20\/20 {2}log loss 0\.\d+$/m);
    expect(stdout).toMatch(/^held out: \{"days": 365/m);
    expect(stdout.trimEnd().endsWith("done")).toBe(true);
  });

  test("reads its parameters from the file that the environment names, and writes the model to `output`", async () => {
    const output = join(folder, "model.json");
    const { code, stdout } = await train({ epochs: 3, learningRate: 0.1, output });
    expect(code).toBe(0);
    expect(stdout).toContain("epoch 3/3");
    const model: unknown = JSON.parse(await readFile(output, "utf8"));
    expect(model).toHaveProperty("metrics.days", 365);
  });

  test("exits with 1 and one sentence for an unknown or invalid parameter, and for missing data", async () => {
    const wrong = [
      { parameters: { epoch: 3 }, says: 'unknown parameter "epoch"' },
      { parameters: { epochs: "many" }, says: 'parameter "epochs" is "many", a int is expected' },
      { parameters: { epochs: 0 }, says: "allowed is 1 to 10000" },
      { parameters: { data: "nowhere.csv" }, says: 'check the parameter "data"' },
      { parameters: [], says: "not a JSON object" },
    ];
    for (const { parameters, says } of wrong) {
      const { code, stderr } = await train(parameters);
      expect(code).toBe(1);
      expect(stderr).toContain(says);
      expect(stderr).not.toContain("Traceback");
    }
  });

  test("exits with 1 when the model does not beat the base rate", async () => {
    const { code, stderr } = await train({ epochs: 2, learningRate: 10 });
    expect(code).toBe(1);
    expect(stderr).toContain("does not beat");
  });
});
