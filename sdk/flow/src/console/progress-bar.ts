import type { ArtifactBody } from "@towpath/contract";
import { harmless } from "./style.ts";

/** The body of a progress artifact. */
export type ProgressBody = Extract<ArtifactBody, { kind: "progress" }>;

const BAR_CHARS = 24;
const PERCENT = 100;

function count(value: number): string {
  return Number.isInteger(value) ? value.toLocaleString("en-US") : String(Math.round(value * 1000) / 1000);
}

/** The part that is done, 0 to 1, or null when the total is not known. */
export function fractionOf(body: ProgressBody): number | null {
  if (body.total === null || body.total <= 0) return null;
  return Math.min(Math.max(body.done / body.total, 0), 1);
}

/** Progress in one line, with a bar or without. */
export function progressText(title: string, body: ProgressBody, withBar: boolean): string {
  const fraction = fractionOf(body);
  const unit = body.unit ? ` ${harmless(body.unit)}` : "";
  const label = harmless(title).replace(/\s+/g, " ");
  if (fraction === null) return `${label} ${count(body.done)}${unit}`;
  const full = Math.round(fraction * BAR_CHARS);
  const bar = withBar ? `${"█".repeat(full)}${"░".repeat(BAR_CHARS - full)} ` : "";
  const percent = `${Math.floor(fraction * PERCENT)} %`;
  return `${label} ${bar}${percent} (${count(body.done)} of ${count(body.total ?? 0)}${unit})`;
}
