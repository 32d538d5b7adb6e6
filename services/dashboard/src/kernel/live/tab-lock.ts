/** The name of the lock that a tab holds for as long as it lives. */
const lockOf = (tab: string) => `towpath tab ${tab}`;

/** Holds a tab's own lock until the tab ends, however it does. */
export function liveAs(tab: string): void {
  void navigator.locks?.request(lockOf(tab), () => new Promise(() => {})).catch(() => {});
}

/** Calls `gone` once the tab has ended; where there are no locks, never. */
export function untilGone(tab: string, gone: () => void): void {
  void navigator.locks?.request(lockOf(tab), gone).catch(() => {});
}
