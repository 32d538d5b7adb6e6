/** The browser's time, in milliseconds since 1970. Shown, never used to decide. */
export function nowMs(): number {
  return Date.now();
}
