import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { vegaDataFolder } from "../src/data-file.ts";
import { missingForPython } from "../src/python.ts";

const FLOW = fileURLToPath(new URL("./penguins.py", import.meta.url));
const SDK = fileURLToPath(new URL("../../python/src", import.meta.url));

test.skipIf(missingForPython() !== null)("the flow in Python scores each candidate on the real data", () => {
  const data = join(vegaDataFolder("penguins.json"), "penguins.json");
  const printed = execFileSync("python3", ["-B", FLOW, `data=${data}`, "neighbours=[1,9]"], {
    encoding: "utf8",
    env: { ...process.env, PYTHONPATH: SDK },
  });
  expect(printed).toContain("9 neighbours: 98.8 % correct");
  expect(printed).toContain("'neighbours': 9");
});
