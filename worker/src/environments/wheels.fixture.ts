import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";

/** Writes a wheel with one module, a test that does not compile, and a script. See PEP 427. */
const MAKE = `
import sys, zipfile
path, name, version, source = sys.argv[1:]
info = f"{name}-{version}.dist-info"
with zipfile.ZipFile(path, "w") as wheel:
    wheel.writestr(f"{name}/__init__.py", source)
    wheel.writestr(f"{name}/tests/test_{name}.py", "this is no Python")
    wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/entry_points.txt", f"[console_scripts]\\n{name} = {name}:main\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;

/** Writes a wheel of a source folder. */
const PACK = `
import pathlib, sys, zipfile
path, source = sys.argv[1:]
info = "towpath-0.1.0.dist-info"
with zipfile.ZipFile(path, "w") as wheel:
    for file in sorted(pathlib.Path(source).rglob("*")):
        if file.is_file() and "__pycache__" not in file.parts:
            wheel.write(file, file.relative_to(source))
    wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: towpath\\nVersion: 0.1.0\\n")
    wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
    wheel.writestr(f"{info}/RECORD", "")
`;

/** Writes a source archive whose backend is the package `backend`. See PEP 517. */
const MAKE_SOURCE = `
import io, sys, tarfile
path, name, version, source = sys.argv[1:]
files = {
    "pyproject.toml": '[build-system]\\nrequires = ["backend"]\\nbuild-backend = "backend"\\n',
    "PKG-INFO": f"Metadata-Version: 2.1\\nName: {name}\\nVersion: {version}\\n",
    f"{name}.py": source,
}
with tarfile.open(path, "w:gz") as archive:
    for file, text in files.items():
        entry = tarfile.TarInfo(f"{name}-{version}/{file}")
        entry.size, entry.mtime = len(text), 1_000_000_000
        archive.addfile(entry, io.BytesIO(text.encode()))
`;

/** A backend that packs the one module beside it. */
const BACKEND = `
import glob, zipfile
def build_wheel(folder, settings=None, metadata=None):
    module = glob.glob("*.py")[0]
    name = module.removesuffix(".py")
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(f"{folder}/{name}-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(module)
        wheel.write("PKG-INFO", f"{info}/METADATA")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"{name}-1.0-py3-none-any.whl"
`;

/** A folder of wheels, as an index for tests. */
export class Wheels {
  readonly dir: string;

  constructor(dir: string) {
    this.dir = dir;
  }

  /** Adds a wheel. @returns Its line of a requirements file. */
  async add(name: string, source: string, version = "1.0"): Promise<string> {
    await mkdir(this.dir, { recursive: true });
    const path = join(this.dir, `${name}-${version}-py3-none-any.whl`);
    execFileSync("python3", ["-c", MAKE, path, name, version, source]);
    return this.line(name, await readFile(path), version);
  }

  /** Adds a wheel of the package `towpath` from its source. @returns Its line of a requirements file. */
  async addTowpath(source: string): Promise<string> {
    await mkdir(this.dir, { recursive: true });
    const path = join(this.dir, "towpath-0.1.0-py3-none-any.whl");
    execFileSync("python3", ["-c", PACK, path, source]);
    return this.line("towpath", await readFile(path), "0.1.0");
  }

  /** Adds a file of any content under the name of a source archive. */
  async addArchive(name: string, version = "1.0"): Promise<string> {
    await mkdir(this.dir, { recursive: true });
    const content = Buffer.from("no archive");
    await writeFile(join(this.dir, `${name}-${version}.tar.gz`), content);
    return this.line(name, content, version);
  }

  /** Adds a source archive that the package `backend` can build. @returns Its line of a requirements file. */
  async addSource(name: string, source: string): Promise<string> {
    await mkdir(this.dir, { recursive: true });
    const path = join(this.dir, `${name}-1.0.tar.gz`);
    execFileSync("python3", ["-c", MAKE_SOURCE, path, name, "1.0", source]);
    return this.line(name, await readFile(path));
  }

  /** Adds the backend that builds such archives. @returns Its line of a requirements file. */
  async addBackend(): Promise<string> {
    return await this.add("backend", BACKEND);
  }

  /** Answers as a package index does: with the list of files of a package, or with one of them. */
  async answer(url: string, response: ServerResponse): Promise<void> {
    const names = await readdir(this.dir);
    const [, first = "", second = ""] = url.split("/");
    if (first === "files" && names.includes(second)) {
      response.end(await readFile(join(this.dir, second)));
      return;
    }
    const own = names.filter((name) => name.startsWith(`${second}-`));
    response.statusCode = first === "simple" && own.length > 0 ? 200 : 404;
    response.setHeader("content-type", "text/html");
    response.end(own.map((name) => `<a href="/files/${name}">${name}</a>`).join("\n"));
  }

  /** The requirement of a version with the hash of a file. */
  line(name: string, content: Uint8Array, version = "1.0"): string {
    return `${name}==${version} --hash=sha256:${createHash("sha256").update(content).digest("hex")}\n`;
  }
}

/** The version of an interpreter, as a lock names it. */
export function pythonMinor(interpreter = "python3"): string {
  const code = "import sys; print('%d.%d' % sys.version_info[:2])";
  return execFileSync(interpreter, ["-c", code], { encoding: "utf8" }).trim();
}
