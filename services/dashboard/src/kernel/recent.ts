import { useEffect } from "react";

/** A run or deployment that the reader opened. */
export interface Recent {
  readonly kind: "run" | "deployment";
  /** The id of a run, or the name of a deployment. */
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

/** The runs and deployments opened in this browser, the latest first. */
export function readRecent(): readonly Recent[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(STORED) ?? "[]");
    return Array.isArray(stored) ? stored.filter(isRecent) : [];
  } catch {
    return [];
  }
}

/** Remembers an opened screen for the palette. */
export function useRecent(kind: Recent["kind"], id: string, name: string): void {
  useEffect(() => {
    const others = readRecent().filter((one) => one.id !== id);
    localStorage.setItem(STORED, JSON.stringify([{ kind, id, name }, ...others].slice(0, KEPT)));
  }, [kind, id, name]);
}
