import { durationText } from "../kernel/duration.ts";
import type { DataTime } from "./runs.ts";

function sizeText(bytes: number): string {
  return bytes < 1_000_000 ? `${Math.ceil(bytes / 1_000)} KB` : `${Math.round(bytes / 1_000_000)} MB`;
}

function partText(what: string, ms: number | undefined, bytes?: number): string[] {
  if (ms === undefined) return [];
  return [`${what} ${durationText(ms)}${bytes ? `, ${sizeText(bytes)}` : ""}`];
}

/** The time for data as a text: `saving 1.2 s, 48 MB`. Several kinds are separated by semicolons. */
export function dataTimeText({ hashMs, loadMs, loadBytes, saveMs, saveBytes }: DataTime): string {
  return [
    ...partText("hashing arguments", hashMs),
    ...partText("loading", loadMs, loadBytes),
    ...partText("saving", saveMs, saveBytes),
  ].join("; ");
}
