import { useSyncExternalStore } from "react";

/** For how long a notice stays, milliseconds. */
const STAYS_MS = 6_000;
const SHOWN_MAX = 3;

/** What has been done, in a sentence. */
interface Toast {
  readonly id: number;
  readonly text: string;
  readonly failed: boolean;
}

let toasts: readonly Toast[] = [];
let latest = 0;
const listeners = new Set<() => void>();

function change(next: readonly Toast[]): void {
  toasts = next;
  for (const listener of listeners) listener();
}

/** Says what has been done where nothing on the screen shows it. */
export function toast(text: string, { failed = false }: { failed?: boolean } = {}): void {
  latest += 1;
  const one = { id: latest, text, failed };
  change([...toasts, one].slice(-SHOWN_MAX));
  setTimeout(() => change(toasts.filter(({ id }) => id !== one.id)), STAYS_MS);
}

/** Where notices stand, above all else. */
export function Toasts() {
  const shown = useSyncExternalStore(
    (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    () => toasts,
  );
  return (
    <div
      role="status"
      className="pointer-events-none fixed inset-x-4 bottom-18 z-50 flex flex-col items-center gap-2 md:right-6 md:bottom-6 md:left-auto md:items-end"
    >
      {shown.map(({ id, text, failed }) => (
        <p
          key={id}
          className={`max-w-md rounded-lg border bg-surface px-3 py-2 [overflow-wrap:anywhere] shadow-[0_8px_24px_rgb(0_0_0/0.14)] ${failed ? "border-bad" : "border-edge"}`}
        >
          <span className={failed ? "text-bad" : "text-good"}>{failed ? "✗" : "✓"}</span> {text}
        </p>
      ))}
    </div>
  );
}
