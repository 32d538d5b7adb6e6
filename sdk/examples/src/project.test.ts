import { existsSync } from "node:fs";
import { join } from "node:path";
import { settingsOf } from "towpath/config";
import { expect, test } from "vitest";
import config from "../towpath.config.ts";
import { DATA_FOLDER_VARIABLE } from "./config.ts";
import { missingForPython } from "./python.ts";

/** The deployments whose parameters are known without Python. */
const deployments = config.deployments.filter(({ kind }) => kind !== "python");

test("the project deploys the examples, and its flows find their data", async () => {
  const names = config.deployments.map(({ options }) => options.name);
  const inPython = missingForPython() === null ? ["penguins-python"] : [];
  expect(names).toEqual(["flights", "penguins", "tuning", ...inPython, "weather"]);
  const settings = await Promise.all(deployments.map((one) => settingsOf(one, config)));
  for (const [index, file] of ["flights-3m.parquet", "penguins.json", "penguins.json"].entries())
    expect(existsSync(join(settings[index]?.env?.[DATA_FOLDER_VARIABLE] ?? "", file))).toBe(true);
});

test("every parameter of the examples is optional, and an unknown parameter is refused", async () => {
  for (const one of deployments) {
    const { parameters } = await settingsOf(one, config);
    expect(parameters).toMatchObject({ type: "object", additionalProperties: false });
    expect(parameters.required ?? []).toEqual([]);
  }
});

test("without Python, or with an old one, what is missing is said", () => {
  expect(missingForPython("no-such-python")).toBe("no-such-python is missing");
});
