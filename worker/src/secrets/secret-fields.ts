/** How deep JSON in a secret is searched. */
const DEPTH_MAX = 8;
/** `scheme://user:password@host`, or without the scheme. The password may have any character but a space. */
const USERINFO = /^(?:[a-z][a-z0-9+.:-]*:\/\/)?[^\s:@/]*:(\S+)@[^\s@]+$/i;
/** `password=…` in a connection string or an address, with or without quotes. */
const NAMED = /(?:^|[\s;?&])(?:password|passwd|pwd)\s*=\s*(?:'([^']*)'|"([^"]*)"|([^\s;&]+))/gi;

/** The values in a secret that are secrets themselves: the texts of JSON, and the passwords of an address. */
export function fieldsOf(value: string): string[] {
  return [...new Set([...passwordsOf(value), ...textsOf(parsed(value), 0)])];
}

function textsOf(value: unknown, depth: number): string[] {
  if (depth > DEPTH_MAX) return [];
  if (typeof value === "string") return [value, ...passwordsOf(value)];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap((item) => textsOf(item, depth + 1));
}

function passwordsOf(text: string): string[] {
  const found = [USERINFO.exec(text)?.[1], ...[...text.matchAll(NAMED)].map(([, a, b, c]) => a ?? b ?? c)];
  return found.flatMap((one) => (one === undefined ? [] : [one, decoded(one)]));
}

/** A whole value that is JSON. A plain text is none. */
function parsed(value: string): unknown {
  if (!/^\s*[{[]/.test(value)) return null;
  try {
    return JSON.parse(value);
  } catch {
    return null;
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
