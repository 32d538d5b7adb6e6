import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const BIN = fileURLToPath(new URL("./bin.mjs", import.meta.url));

/** Starts the command on a Node that reports another version. */
function startOn(version: string) {
  const disguise = `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "${version}" } })`;
  const loaded = `data:text/javascript,${encodeURIComponent(disguise)}`;
  return spawnSync(process.execPath, ["--import", loaded, BIN], { encoding: "utf8" });
}

test.each(["20.20.2", "22.17.1"])("on Node %s the command says which one it needs", (version) => {
  const { status, stderr } = startOn(version);
  expect(status).toBe(78);
  expect(stderr).toMatch(`✗ towpath needs Node.js 22.18 or newer, and this is ${version}`);
  expect(stderr).toContain("→ install a current Node.js");
});

test.each(["22.18.0", "24.0.0"])("on Node %s it goes on to its modules", (version) => {
  // In the package they stand next to it, but not here.
  expect(startOn(version).stderr).toMatch(/Cannot find module .*main\.js/);
});
