import { readFileSync } from "node:fs";
import { join } from "node:path";
import { PackageFault } from "./fault.ts";

/** The parts of a room's package.json that are read here. */
interface RoomManifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
  readonly description?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
}

/** The manifest of the published package. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly dependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** npm has installed from these files, so their shape is right. */
function roomManifest(root: string, room: string): RoomManifest {
  return JSON.parse(readFileSync(join(root, room, "package.json"), "utf8")) as RoomManifest;
}

function versionIn(room: RoomManifest, name: string): string {
  const version = room.dependencies?.[name];
  if (version === undefined) throw new PackageFault(`${room.name} does not depend on ${name}.`);
  return version;
}

function entry(name: string, types: string) {
  return { types: `./dist/types/flow/src/${types}.d.ts`, default: `./dist/sdk/${name}.js` };
}

/**
 * The manifest to publish: the SDK's entries, the command, and the packages that no bundle can contain, in the tested versions.
 * esbuild and the databases carry binaries. zod is shared with the user's project, whose schemas it makes, so any later release of
 * its major version is accepted.
 */
export function packageManifest(root: string): Manifest {
  const sdk = roomManifest(root, "sdk/flow");
  const cli = roomManifest(root, "sdk/cli");
  const control = roomManifest(root, "services/control");
  return {
    name: sdk.name,
    version: sdk.version,
    description: sdk.description,
    license: sdk.license,
    type: "module",
    keywords: ["workflow", "orchestration", "data", "machine-learning", "scheduler"],
    engines: { node: ">=22.18" },
    bin: { towpath: "dist/cli/bin.mjs" },
    exports: {
      ".": entry("index", "index"),
      "./client": entry("client", "client"),
      "./config": entry("config", "config"),
      "./deploy": entry("deploy", "deploy"),
      "./test": entry("test", "testing"),
      "./package.json": "./package.json",
    },
    imports: {
      "#cli": "./dist/cli/main.js",
      "#control": "./dist/control/main.js",
      "#demo": "./dist/control/demo.js",
      "#worker": "./dist/worker/main.js",
    },
    dependencies: { esbuild: versionIn(cli, "esbuild"), zod: `^${versionIn(sdk, "zod")}` },
    optionalDependencies: control.optionalDependencies ?? {},
  };
}
