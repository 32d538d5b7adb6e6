import { useEffect } from "react";

/** A screen of one thing that the reader was at. */
export interface Recent {
  readonly kind: "run" | "deployment";
  /** A run's id, or a deployment's name. */
  readonly id: string;
  readonly name: string;
}

const STORED = "towpath.recent";
const KEPT = 6;

function isRecent(one: unknown): one is Recent {
  if (typeof one !== "object" || one === null) return false;
  const { kind, id, name } = one as Record<string, unknown>;
  return (kind === "run" || kind === "deployment") && typeof id === "string" && typeof name === "string";
}

/** Where the reader of this browser was, the latest first. */
export function readRecent(): readonly Recent[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(STORED) ?? "[]");
    return Array.isArray(stored) ? stored.filter(isRecent) : [];
  } catch {
    return [];
  }
}

/** Remembers that the reader is here, so that the palette leads back. */
export function useRecent(kind: Recent["kind"], id: string, name: string): void {
  useEffect(() => {
    const others = readRecent().filter((one) => one.id !== id);
    localStorage.setItem(STORED, JSON.stringify([{ kind, id, name }, ...others].slice(0, KEPT)));
  }, [kind, id, name]);
}
