import { bytesText } from "@towpath/contract";
import type { BundleSize } from "towpath/deploy";
import { z } from "zod";
import { Failure } from "../failure.ts";
import { readJsonFile } from "../kernel/connection.ts";
import { type StateFolder, writeWhole } from "../kernel/state-folder.ts";
import type { CodeTree } from "./code-tree.ts";

/** How many of the largest files a deploy names. */
const LARGEST_SHOWN = 3;
/** The growth from which a deploy asks for confirmation. */
const GROWTH_MAX = 10;
/** Smaller code may grow without confirmation, bytes. */
const GROWN_MIN_BYTES = 1024 * 1024;

/** The size of a project's code, with its largest files. */
export function bundleSize(tree: CodeTree): BundleSize {
  const sizes = tree.map(({ path, bytes }) => ({ path, bytes: bytes.length }));
  return {
    files: sizes.length,
    bytes: sizes.reduce((sum, { bytes }) => sum + bytes, 0),
    largest: sizes.sort((a, b) => b.bytes - a.bytes).slice(0, LARGEST_SHOWN),
  };
}

/** One line about the code: `code: 12 files, 310 kB; largest: flows/churn.js 280 kB`. */
export function bundleText({ files, bytes, largest }: BundleSize): string {
  const named = largest.map((one) => `${one.path} ${bytesText(one.bytes)}`).join(", ");
  return `code: ${files} file${files === 1 ? "" : "s"}, ${bytesText(bytes)}${named === "" ? "" : `; largest: ${named}`}`;
}

const Sizes = z.record(z.string(), z.int().min(0));

/**
 * Checks that a project's code has not grown suddenly since the last deploy from this state folder.
 * @throws Failure that names the largest files.
 */
export async function checkGrowth(
  folder: Pick<StateFolder, "bundleSizesFile">,
  args: { project: string; size: BundleSize },
): Promise<void> {
  const { project, size } = args;
  const before = (await readJsonFile(folder.bundleSizesFile, Sizes))?.[project];
  if (before === undefined || size.bytes < GROWN_MIN_BYTES || size.bytes < before * GROWTH_MAX) return;
  throw new Failure(
    `The code has grown from ${bytesText(before)} to ${bytesText(size.bytes)} since the last deploy. Nothing was registered.`,
    {
      exit: "configuration",
      code: "code-grew",
      next: [
        `largest files: ${size.largest.map((one) => `${one.path} (${bytesText(one.bytes)})`).join(", ")}`,
        "leave files out with .towpathignore, or deploy all of them with `towpath deploy --yes`",
      ],
    },
  );
}

/** Stores the size of a project's code for the next deploy from this state folder. */
export async function noteSize(
  folder: Pick<StateFolder, "bundleSizesFile">,
  args: { project: string; size: BundleSize },
): Promise<void> {
  const sizes = (await readJsonFile(folder.bundleSizesFile, Sizes)) ?? {};
  const text = JSON.stringify({ ...sizes, [args.project]: args.size.bytes }, null, 2);
  await writeWhole(folder.bundleSizesFile, `${text}\n`);
}
