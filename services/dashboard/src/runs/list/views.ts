import { useSyncExternalStore } from "react";
import { type RunSearch, readRunSearch } from "./search.ts";

/** A named search of runs, stored in this browser. */
export interface View {
  readonly name: string;
  readonly search: RunSearch;
}

const STORED = "towpath.run-views";
const VIEWS_MAX = 20;
const listeners = new Set<() => void>();
let present: { text: string; views: readonly View[] } | null = null;

function parse(text: string): readonly View[] {
  try {
    const stored: unknown = JSON.parse(text);
    if (!Array.isArray(stored)) return [];
    return stored.flatMap((one: { name?: unknown; search?: unknown }) =>
      typeof one?.name === "string" && typeof one.search === "object" && one.search !== null
        ? [{ name: one.name, search: readRunSearch({ ...one.search }) }]
        : [],
    );
  } catch {
    return [];
  }
}

function readViews(): readonly View[] {
  const text = localStorage.getItem(STORED) ?? "[]";
  if (present?.text !== text) present = { text, views: parse(text) };
  return present.views;
}

function write(views: readonly View[]): void {
  localStorage.setItem(STORED, JSON.stringify(views.slice(-VIEWS_MAX)));
  for (const listener of listeners) listener();
}

/** Saves a search. An existing view with this name is replaced. */
export function saveView(view: View): void {
  write([...readViews().filter((one) => one.name !== view.name), view]);
}

/** Deletes a view. */
export function dropView(name: string): void {
  write(readViews().filter((one) => one.name !== name));
}

/** The saved views, shared between tabs. */
export function useViews(): readonly View[] {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    // Browsers report what other tabs store.
    window.addEventListener("storage", listener);
    return () => {
      listeners.delete(listener);
      window.removeEventListener("storage", listener);
    };
  }, readViews);
}
