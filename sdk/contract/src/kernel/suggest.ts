/** Longer words get no suggestion. */
const WORD_CHARS_MAX = 64;
/** The most known words that are compared. */
const KNOWN_MAX = 100;

/** Edits between two words (Levenshtein), by rows. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

/** The most edits at which a word still counts as a mistyped one. */
const editsMax = (known: string) => Math.max(1, Math.floor(known.length / 3));

/**
 * The known word that is nearest to a mistyped one, or null if none is within a third of its length. Words may be hostile,
 * so words over 64 characters are ignored and only the first 100 known words are compared.
 */
export function closest(word: string, known: readonly string[]): string | null {
  if (word.length > WORD_CHARS_MAX) return null;
  const typed = word.toLowerCase();
  let best: { candidate: string; edits: number } | null = null;
  for (const candidate of known.slice(0, KNOWN_MAX)) {
    const isNear = Math.abs(candidate.length - word.length) <= editsMax(candidate);
    if (candidate.length > WORD_CHARS_MAX || !isNear) continue;
    const edits = distance(typed, candidate.toLowerCase());
    if (edits <= editsMax(candidate) && (best === null || edits < best.edits)) best = { candidate, edits };
  }
  return best?.candidate ?? null;
}
