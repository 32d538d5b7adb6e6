/** The name of the lock that a tab holds as long as it lives. */
const lockOf = (tab: string) => `towpath tab ${tab}`;

/** Holds a tab's lock until the tab ends for any reason. */
export function liveAs(tab: string): void {
  void navigator.locks?.request(lockOf(tab), () => new Promise(() => {})).catch(() => {});
}

/** Calls `gone` after the tab has ended. Never, if the browser has no locks. */
export function untilGone(tab: string, gone: () => void): void {
  void navigator.locks?.request(lockOf(tab), gone).catch(() => {});
}
