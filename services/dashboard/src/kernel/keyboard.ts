import { useEffect, useRef } from "react";

/** The first key of each pair, and how long it waits for the second, milliseconds. */
const PAIRS_BEGIN = "g";
const PAIR_MS = 1_000;

/** An open dialog. Toasts have that role too, and are not modal. */
const OPEN_DIALOG = '[role="dialog"]:not([aria-modal="false"])';

function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))
  );
}

/** What a person pressed: `j`, `?`, `mod+k`. Null for keys with other modifiers, and while somebody types. */
function pressed(event: KeyboardEvent): string | null {
  if (event.metaKey || event.ctrlKey) return `mod+${event.key.toLowerCase()}`;
  if (event.altKey || isTyping(event.target)) return null;
  return event.key;
}

/**
 * Does what the reader asks by keyboard, anywhere on the page but in fields and open dialogs. Keys are single (`j`), a pair (`g r`), or with
 * ⌘ or Ctrl (`mod+k`).
 */
export function useKeys(keys: Readonly<Record<string, () => void>>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    let first: { key: string; at: number } | null = null;
    const onKey = (event: KeyboardEvent) => {
      // Whoever leaves a field can go on by keys: they would be typed into it otherwise.
      if (event.key === "Escape" && isTyping(event.target)) (event.target as HTMLElement).blur();
      const key = pressed(event);
      if (key === null || document.querySelector(OPEN_DIALOG)) return;
      // The second key of a pair is nothing by itself: `g w` leaves the wrapping of a log as it is.
      const isSecond = first?.key === PAIRS_BEGIN && event.timeStamp - first.at < PAIR_MS;
      const act = latest.current[isSecond ? `${PAIRS_BEGIN} ${key}` : key];
      first = { key, at: event.timeStamp };
      if (!act) return;
      event.preventDefault();
      act();
    };
    window.addEventListener("keydown", onKey);
    return () => window.removeEventListener("keydown", onKey);
  }, []);
}

/** Moves the focus along the rows of the page's list with `j` and `k`; Enter opens a row, as on any link. */
export function useRowKeys(): void {
  const move = (by: number) => {
    const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
    const present = rows.indexOf(document.activeElement as HTMLElement);
    const next = present === -1 ? (by > 0 ? 0 : rows.length - 1) : present + by;
    rows[Math.max(0, Math.min(rows.length - 1, next))]?.focus();
  };
  useKeys({ j: () => move(1), k: () => move(-1) });
}
