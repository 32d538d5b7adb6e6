import { readdir, readlink, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";

/** Folders of the machine that namespaces do not share: each has them anew, or they belong to people. */
const NOT_SHARED = new Set(["proc", "dev", "tmp", "run", "root", "home", "lost+found", "boot"]);
/** Devices of graphics cards, in `/dev`. */
const DEVICES = /^(nvidia.*|dri|kfd|dxg)$/;
/** A file in a folder of this depth is hidden by itself, because programs need the rest of the folder, such as `/etc`. */
const COMMON_DEPTH = 1;
/** Only what is mounted in such a folder can be reached. Nobody can list it. */
const CLOSED = ["--perms", "0111"];

/** What attempts see of the machine, besides their own. All paths are absolute. */
export interface View {
  /** Folders and files that no attempt sees, with all that is below. */
  readonly hidden: readonly Hidden[];
  /** What attempts read although it may lie in a hidden folder: programs, interpreters, authorities. */
  readonly reads: readonly string[];
  /** Where attempts write besides stores. */
  readonly writes: readonly string[];
  /** The stores in folders. */
  readonly stores: readonly string[];
  /** The folders that hold trees of code and of environments. */
  readonly trees: readonly string[];
}

/** A folder, or a file in a folder that programs need. */
export interface Hidden {
  readonly path: string;
  readonly kind: "folder" | "file";
}

/** One mount, at a path. Mounts are made from the top down. */
export interface Mount {
  readonly at: string;
  readonly words: readonly string[];
}

/** How a secret file is hidden: with its folder, which may get other such files, unless programs need that folder. */
export function hiddenFor(file: string): Hidden {
  const folder = dirname(file);
  const depth = folder.split("/").filter((part) => part !== "").length;
  return depth > COMMON_DEPTH ? { path: folder, kind: "folder" } : { path: file, kind: "file" };
}

/** What is the same for each attempt. */
export interface CommonMounts {
  /** The words for the rest of the machine, before all mounts. */
  readonly first: readonly string[];
  readonly mounts: readonly Mount[];
  /** The hidden folders. */
  readonly folders: readonly string[];
  /** The words that close the hidden folders once all mounts are made. */
  readonly closing: readonly string[];
}

/** The mounts that each attempt has. */
export async function mountsOf(view: View): Promise<CommonMounts> {
  const hidden = await existing(view.hidden);
  const folders = hidden.filter(({ kind }) => kind === "folder").map(({ path }) => path);
  const reads = await Promise.all(view.reads.map(realOrNull));
  const isMissing = (path: string) =>
    NOT_SHARED.has(path.split("/")[1] ?? "") || folders.some((folder) => isWithin(path, folder));
  return {
    first: [...(await systemWords()), ...(await deviceWords()), ...(await resolverWords())],
    mounts: [
      ...hidden.map(({ path, kind }) => ({
        at: path,
        words: kind === "folder" ? [...CLOSED, "--tmpfs", path] : ["--ro-bind", "/dev/null", path],
      })),
      ...[...new Set(reads.flatMap((path) => path ?? []))].filter(isMissing).map(readOnly),
      ...view.writes.map(writable),
    ],
    folders,
    closing: ["/run", ...folders, "/"].flatMap((path) => ["--remount-ro", path]),
  };
}

/** Shows a folder or file without letting it be changed. */
export function readOnly(at: string): Mount {
  return { at, words: ["--ro-bind-try", at, at] };
}

/** Shows a folder in which attempts write. */
export function writable(at: string): Mount {
  return { at, words: ["--bind-try", at, at] };
}

/** The parts of a store in which attempts write. The key of the store lies beside them. */
export function storeParts(root: string): string[] {
  return [join(root, "runs"), join(root, "cache")];
}

/**
 * The words of mounts. A mount on a folder hides what was mounted below it before, so parents come first. Nobody can list what
 * lies between a hidden folder and what is shown of it.
 */
export function inOrder(mounts: readonly Mount[], folders: readonly string[]): string[] {
  const closed = new Map<string, Mount>();
  for (const { at } of mounts)
    for (
      let above = dirname(at);
      folders.some((one) => one !== above && isWithin(above, one));
      above = dirname(above)
    )
      closed.set(above, { at: above, words: [...CLOSED, "--dir", above] });
  for (const { at } of mounts) closed.delete(at);
  return [...closed.values(), ...mounts]
    .sort((a, b) => a.at.length - b.at.length)
    .flatMap(({ words }) => words);
}

/** Everything that the machine has for all programs, read-only, and the rest anew. */
async function systemWords(): Promise<string[]> {
  const words: string[] = [];
  for (const entry of await readdir("/", { withFileTypes: true })) {
    const path = `/${entry.name}`;
    if (NOT_SHARED.has(entry.name)) continue;
    if (entry.isSymbolicLink()) words.push("--symlink", await readlink(path), path);
    else if (entry.isDirectory()) words.push("--ro-bind", path, path);
  }
  return [
    ...words,
    "--proc",
    "/proc",
    "--dev",
    "/dev",
    "--tmpfs",
    "/run",
    "--dir",
    "/home",
    "--dir",
    "/root",
  ];
}

async function deviceWords(): Promise<string[]> {
  const names = (await readdir("/dev")).filter((name) => DEVICES.test(name));
  return names.flatMap((name) => ["--dev-bind-try", `/dev/${name}`, `/dev/${name}`]);
}

/** The file behind `/etc/resolv.conf` is often below `/run`, which is new. */
async function resolverWords(): Promise<string[]> {
  const path = await realOrNull("/etc/resolv.conf");
  return path?.startsWith("/run/") ? ["--ro-bind", path, path] : [];
}

/** Each once, without those that are missing now and files in a hidden folder. */
async function existing(hidden: readonly Hidden[]): Promise<Hidden[]> {
  const found = new Map<string, Hidden>();
  for (const { path, kind } of hidden) {
    const real = await realOrNull(path);
    if (real !== null && (await stat(real)).isDirectory() === (kind === "folder"))
      found.set(real, { path: real, kind });
  }
  const all = [...found.values()];
  const isCovered = ({ path }: Hidden) =>
    all.some((other) => other.kind === "folder" && other.path !== path && isWithin(path, other.path));
  return all.filter((one) => one.kind === "folder" || !isCovered(one));
}

function isWithin(path: string, folder: string): boolean {
  return path === folder || path.startsWith(`${folder}/`);
}

async function realOrNull(path: string): Promise<string | null> {
  return await realpath(path).catch(() => null);
}
