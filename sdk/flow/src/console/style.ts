import { stripVTControlCharacters, styleText } from "node:util";

/** What a piece of text is, so that the terminal can tell it apart. */
export type Tone = "good" | "bad" | "warn" | "quiet" | "strong";

const STYLES = { good: "green", bad: "red", warn: "yellow", quiet: "dim", strong: "bold" } as const;

/** Text of a tone; plain where colour is off. */
export type Paint = (tone: Tone, text: string) => string;

/** Paints, or leaves text as it is. */
export function paintWith(colour: boolean): Paint {
  return (tone, text) => (colour ? styleText(STYLES[tone], text, { validateStream: false }) : text);
}

/** A user's text cannot move the cursor or change colours of what stands around it. */
export function harmless(text: string): string {
  return stripVTControlCharacters(text).replace(/[^\P{Cc}\n\t]/gu, "�");
}

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;

/** A duration as people say it: `12 ms`, `3.4 s`, `2 min 5 s`. */
export function durationText(ms: number): string {
  if (ms < SECOND_MS) return `${Math.round(ms)} ms`;
  if (ms < MINUTE_MS) return `${(ms / SECOND_MS).toFixed(1)} s`;
  const seconds = Math.round(ms / SECOND_MS);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** The name of a task run as people read it: its path's names without the hashes. */
export function taskLabel(path: string): string {
  const names = path.split("/").map((part) => part.replace(/:[0-9a-f]{16}(?=#|$)/, ""));
  const label = names
    .join("/")
    .replace(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  return harmless(label);
}
