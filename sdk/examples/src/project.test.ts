import { existsSync } from "node:fs";
import { join } from "node:path";
import { settingsOf } from "towpath/config";
import { expect, test } from "vitest";
import config from "../towpath.config.ts";
import { DATA_FOLDER_VARIABLE } from "./config.ts";

test("the project deploys the examples, and its flows find their data", async () => {
  const settings = await Promise.all(config.deployments.map((one) => settingsOf(one, config)));
  expect(settings.map(({ deployment }) => deployment)).toEqual(["flights", "penguins", "tuning", "weather"]);
  for (const [index, file] of ["flights-3m.parquet", "penguins.json", "penguins.json"].entries())
    expect(existsSync(join(settings[index]?.env?.[DATA_FOLDER_VARIABLE] ?? "", file))).toBe(true);
});

test("every parameter of the examples is optional, and an unknown parameter is refused", async () => {
  for (const one of config.deployments) {
    const { parameters } = await settingsOf(one, config);
    expect(parameters).toMatchObject({ type: "object", additionalProperties: false });
    expect(parameters.required ?? []).toEqual([]);
  }
});
