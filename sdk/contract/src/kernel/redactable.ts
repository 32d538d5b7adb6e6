/** Shorter values are not redacted: they would blot out ordinary text. */
const SECRET_MIN_CHARS = 4;

/** Whether a text is taken out of what leaves the worker. One of nothing but asterisks is already what a redacted text looks like. */
export function isRedactable(text: string): boolean {
  return text.length >= SECRET_MIN_CHARS && !/^\**$/.test(text);
}

/** What to say of a secret whose value cannot be redacted; null if it can. */
export function secretWarning(name: string, value: string): string | null {
  if (isRedactable(value)) return null;
  const is =
    value.length < SECRET_MIN_CHARS ? `shorter than ${SECRET_MIN_CHARS} characters` : "only asterisks";
  return `The secret "${name}" is ${is}, so logs and records show it: it would blot out ordinary text. Give it a longer value.`;
}
