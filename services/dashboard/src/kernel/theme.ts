import { useSyncExternalStore } from "react";

/** What the reader may choose; `system` follows the machine's setting. */
export const THEMES = ["system", "light", "dark"] as const;

/** One of the themes. */
export type Theme = (typeof THEMES)[number];

/** Also read by `public/theme.js`, before the first paint. */
const STORED = "towpath.theme";
const listeners = new Set<() => void>();

function readTheme(): Theme {
  const stored = localStorage.getItem(STORED);
  return THEMES.find((theme) => theme === stored) ?? "system";
}

/** Chooses a theme for this browser. */
export function setTheme(theme: Theme): void {
  if (theme === "system") {
    localStorage.removeItem(STORED);
    delete document.documentElement.dataset.theme;
  } else {
    localStorage.setItem(STORED, theme);
    document.documentElement.dataset.theme = theme;
  }
  for (const listener of listeners) listener();
}

/** The theme that was chosen. */
export function useTheme(): Theme {
  return useSyncExternalStore((listener) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  }, readTheme);
}
