import { CodeError } from "./code-error.ts";
import type { CodeSource } from "./code-request.ts";

/** A git registry as configured. */
export type GitSource = Extract<CodeSource, { kind: "git" }>;

/** A git registry that passed the checks. */
export interface CheckedGitSource {
  readonly url: string;
  /** The only protocol that git may use. */
  readonly protocol: "https" | "http" | "file" | "ssh";
  /** Whole header lines to send. Secret. */
  readonly headers: readonly string[];
  /** For ssh: the key, and the host keys that are accepted. Null for other protocols. */
  readonly ssh: { readonly key: string; readonly knownHosts: string } | null;
  /** Texts that must not appear in a message or a log. */
  readonly secrets: readonly string[];
}

const PROTOCOL = /^(https|http|file|ssh):\/\/[^\s\p{Cc}]+$/u;
const HEADER_NAME = /^[A-Za-z0-9-]+$/;
const MAX_KEPT_OUTPUT_CHARS = 2_000;

/**
 * Checks a configured registry: its url has one of four protocols and no password, and no credential can end
 * a header line.
 * @throws CodeError `bad-source`, which repeats no part of the credentials.
 */
export function checkGitSource(source: GitSource): CheckedGitSource {
  const protocol = PROTOCOL.exec(source.url)?.[1];
  if (protocol !== "https" && protocol !== "http" && protocol !== "file" && protocol !== "ssh") {
    throw new CodeError(
      "bad-source",
      "A git registry's url must begin with https://, ssh://, http:// or file://.",
    );
  }
  if (!URL.canParse(source.url)) throw new CodeError("bad-source", "A git registry's url cannot be parsed.");
  const url = new URL(source.url);
  if (protocol === "ssh") return checkSshSource(source, url);
  if (url.username !== "" || url.password !== "") {
    throw new CodeError(
      "bad-source",
      "A git registry's url has credentials in it. Put them in username and password.",
    );
  }
  const { headers, secrets } = headerLines(source);
  return { url: source.url, protocol, headers, ssh: null, secrets };
}

/** A user or host may not look like an option of ssh. */
const SSH_USER = /^[A-Za-z0-9_][\w.-]{0,63}$/;
const SSH_HOST = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9][A-Za-z0-9.-]*)$/;

function checkSshSource(source: GitSource, { username, password, hostname }: URL): CheckedGitSource {
  if (password !== "" || !SSH_USER.test(username) || !SSH_HOST.test(hostname))
    throw new CodeError(
      "bad-source",
      "The url of a git registry over SSH must be ssh://USER@HOST/PATH, without a password.",
    );
  const { key = "", knownHosts = "" } = source;
  if (key.trim() === "" || knownHosts.trim() === "")
    throw new CodeError("bad-source", "A git registry over SSH needs a key and its server's knownHosts.");
  return {
    url: source.url,
    protocol: "ssh",
    headers: [],
    ssh: { key, knownHosts },
    secrets: key.split("\n").filter((line) => line.length > 3),
  };
}

/** Cuts git's output and removes every secret from it, for the worker's log. */
export function redactOutput(output: string, secrets: readonly string[]): string {
  const blanked = secrets.reduce((text, secret) => text.replaceAll(secret, "[redacted]"), output);
  return blanked
    .replace(/[^\P{Cc}\n]/gu, " ")
    .trim()
    .slice(-MAX_KEPT_OUTPUT_CHARS);
}

function headerLines(source: GitSource): { headers: string[]; secrets: string[] } {
  const { username = "", password = "", extraHeaders = {} } = source;
  const headers: string[] = [];
  const secrets: string[] = [];
  for (const [name, value] of Object.entries(extraHeaders)) {
    if (!HEADER_NAME.test(name) || /\p{Cc}/u.test(value)) {
      throw new CodeError("bad-source", "An extra header of a git registry is not a valid header.");
    }
    headers.push(`${name}: ${value}`);
    // The second half of `Bearer TOKEN` is as secret.
    secrets.push(value, ...value.split(" "));
  }
  if (username !== "" || password !== "") {
    if (/[\p{Cc}:]/u.test(username) || /\p{Cc}/u.test(password)) {
      throw new CodeError(
        "bad-source",
        "A git registry's username or password has a character that is not allowed.",
      );
    }
    const basic = Buffer.from(`${username}:${password}`).toString("base64");
    headers.push(`Authorization: Basic ${basic}`);
    secrets.push(basic, password);
  }
  return { headers, secrets: secrets.filter((secret) => secret.length > 3) };
}
