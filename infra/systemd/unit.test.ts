import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const UNIT = fileURLToPath(new URL("towpath-worker.service", import.meta.url));
const isThere = spawnSync("systemd-analyze", ["--version"]).status === 0;
if (!isThere)
  console.warn("SKIPPED: the unit of the worker is checked with systemd-analyze, which is not installed.");

/** The highest exposure that the unit may have, in tenths. systemd calls up to 20 "OK", and a service without settings has 96. */
const EXPOSURE_MAX = 20;

test.skipIf(!isThere)("systemd accepts the unit of the worker", () => {
  const { stdout, stderr } = spawnSync("systemd-analyze", ["verify", UNIT], { encoding: "utf8" });
  const said = (stdout + stderr).split("\n").filter((line) => line.includes("towpath-worker.service"));
  expect(said).toEqual([]);
});

test.skipIf(!isThere)("the unit of the worker exposes little", () => {
  const words = ["security", "--offline=true", `--threshold=${EXPOSURE_MAX}`, UNIT];
  const { status, stdout } = spawnSync("systemd-analyze", words, { encoding: "utf8" });
  expect(status, stdout).toBe(0);
});
