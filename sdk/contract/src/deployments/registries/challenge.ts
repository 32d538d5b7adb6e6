/** A challenge of a `WWW-Authenticate` header: its scheme in lower case, and its parameters. */
export interface Challenge {
  readonly scheme: string;
  readonly parameters: ReadonlyMap<string, string>;
}

const CHALLENGES_MAX = 8;
const HEADER_CHARS_MAX = 8_192;
const PARAMETER = /([!#$%&'*+.^_`|~\w-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/y;
const SCHEME = /([!#$%&'*+.^_`|~\w-]+)(?=\s|,|$)(?!\s*=)/y;

/**
 * Reads the challenges of `WWW-Authenticate` headers. Text that is none ends the reading.
 * @see https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1
 */
export function parseChallenges(headers: readonly string[]): Challenge[] {
  const text = headers.join(", ").slice(0, HEADER_CHARS_MAX);
  const challenges: { scheme: string; parameters: Map<string, string> }[] = [];
  let at = 0;
  const take = (pattern: RegExp) => {
    pattern.lastIndex = at;
    const found = pattern.exec(text);
    if (found !== null) at = pattern.lastIndex;
    return found;
  };
  while (challenges.length < CHALLENGES_MAX) {
    take(/[\s,]*/y);
    const parameter = take(PARAMETER);
    if (parameter !== null) {
      const [, name = "", quoted, plain = ""] = parameter;
      challenges.at(-1)?.parameters.set(name.toLowerCase(), quoted?.replace(/\\(.)/g, "$1") ?? plain);
      continue;
    }
    const scheme = take(SCHEME)?.[1];
    if (scheme === undefined) break;
    challenges.push({ scheme: scheme.toLowerCase(), parameters: new Map() });
  }
  return challenges;
}
