import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

interface ThirdParty {
  readonly name?: string;
  readonly version?: string;
  readonly license?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
}

const IN_PACKAGE = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+(?=\/)/;
const LICENSE_FILE = /^(licen[cs]e|copying|notice)/i;

/** npm has installed from this file, so its shape is right. */
function manifestOf(folder: string): ThirdParty {
  return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as ThirdParty;
}

/** The folders of the packages that these files belong to. */
function foldersOf(root: string, inputs: Iterable<string>): string[] {
  const folders = [...inputs].flatMap((path) => IN_PACKAGE.exec(path)?.[0] ?? []);
  return folders.map((folder) => join(root, folder));
}

/** A room's dependencies and theirs. A bundler that does not list its inputs may have used any of them. */
function dependenciesOf(root: string, room: string): string[] {
  const found = new Set<string>();
  const visit = (from: string) => {
    for (const name of Object.keys(manifestOf(from).dependencies ?? {})) {
      if (name.startsWith("@towpath/")) continue;
      const folder = [join(from, "node_modules", name), join(root, "node_modules", name)].find((path) =>
        existsSync(join(path, "package.json")),
      );
      if (folder === undefined || found.has(folder)) continue;
      found.add(folder);
      visit(folder);
    }
  };
  visit(join(root, room));
  return [...found];
}

function noticeOf(folder: string): string {
  const { name = "", version = "", license = "" } = manifestOf(folder);
  const texts = readdirSync(folder)
    .filter((file) => LICENSE_FILE.test(file))
    .sort()
    .map((file) => readFileSync(join(folder, file), "utf8").trim());
  return [`${name} ${version} (${license})`, ...texts].join("\n\n");
}

/** The licences of other authors' code in the package. Their terms ask to ship them. */
export function thirdPartyNotices(args: { root: string; inputs: Iterable<string> }): string {
  const folders = new Set([
    ...foldersOf(args.root, args.inputs),
    ...dependenciesOf(args.root, "services/dashboard"),
  ]);
  const notices = new Set([...folders].map(noticeOf));
  const rule = `\n\n${"-".repeat(80)}\n\n`;
  return `This package holds code of these packages.${rule}${[...notices].sort().join(rule)}\n`;
}
