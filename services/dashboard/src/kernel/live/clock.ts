/** The browser's time, milliseconds since 1970. It is displayed and decides nothing. */
export function nowMs(): number {
  return Date.now();
}
