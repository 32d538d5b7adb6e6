import { useEffect, useRef } from "react";

/** The first key of every pair, and how long it waits for the second key, milliseconds. */
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

/** The name of the pressed key: `j`, `?`, `mod+k`. Null for other modifiers, and while the reader types in a field. */
function pressed(event: KeyboardEvent): string | null {
  if (event.metaKey || event.ctrlKey) return `mod+${event.key.toLowerCase()}`;
  if (event.altKey || isTyping(event.target)) return null;
  return event.key;
}

/**
 * Binds keys for the whole page. They do not work in fields and open dialogs. A key is single (`j`), a pair (`g r`), or
 * has ⌘ or Ctrl (`mod+k`).
 */
export function useKeys(keys: Readonly<Record<string, () => void>>): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    let first: { key: string; at: number } | null = null;
    const onKey = (event: KeyboardEvent) => {
      // After Escape, keys work again and are not typed into the field.
      if (event.key === "Escape" && isTyping(event.target)) (event.target as HTMLElement).blur();
      const key = pressed(event);
      if (key === null || document.querySelector(OPEN_DIALOG)) return;
      // The second key of a pair has no effect of its own: `g w` does not change the wrapping of a log.
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

/** The keys `j` and `k` move the focus along the rows of a list. Enter opens a row. */
export function useRowKeys(): void {
  const move = (by: number) => {
    const rows = [...document.querySelectorAll<HTMLElement>("[data-row]")];
    const present = rows.indexOf(document.activeElement as HTMLElement);
    const next = present === -1 ? (by > 0 ? 0 : rows.length - 1) : present + by;
    rows[Math.max(0, Math.min(rows.length - 1, next))]?.focus();
  };
  useKeys({ j: () => move(1), k: () => move(-1) });
}
