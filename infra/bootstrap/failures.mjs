/** The bootstrap cannot continue. The message is for the person at the terminal and says what to do. */
export class BootstrapError extends Error {
  name = "BootstrapError";
}

const CAUSES = [
  {
    pattern:
      /\b(ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENETUNREACH|EHOSTUNREACH|ERR_SOCKET_TIMEOUT)\b/,
    sentence: (code) =>
      `The package registry cannot be reached (${code}). Check the network and the proxy settings of npm ` +
      "(`npm config list`), then run the same command again.",
  },
  {
    pattern:
      /\b(SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_VERIFY_LEAF_SIGNATURE|UNABLE_TO_GET_ISSUER_CERT_LOCALLY|CERT_[A-Z_]+)\b/,
    sentence: (code) =>
      `The package registry's certificate is not trusted (${code}). Point NODE_EXTRA_CA_CERTS at your ` +
      "organization's certificate, then run the same command again.",
  },
  {
    pattern: /\b(E401|E403)\b/,
    sentence: (code) =>
      `The package registry refused the download (${code}). Sign in with \`npm login\` or correct your .npmrc, ` +
      "then run the same command again.",
  },
  {
    pattern: /\b(E404|ETARGET)\b/,
    sentence: (code) =>
      `The package registry does not have a package that the lock file names (${code}). If npm is set up to use a ` +
      "mirror, let the mirror fetch it, then run the same command again.",
  },
  {
    pattern: /\bENOSPC\b/,
    sentence: () => "The disk is full. Free some space, then run the same command again.",
  },
  {
    pattern: /\b(EACCES|EPERM|EROFS)\b/,
    sentence: (code) =>
      `A file could not be written (${code}). Check who owns the checkout and npm's cache (\`npm config get cache\`), ` +
      "then run the same command again.",
  },
  {
    pattern: /\bEINTEGRITY\b/,
    sentence: () =>
      "A downloaded package is not the one whose hash is pinned (EINTEGRITY). Run `npm cache clean --force`, then run the " +
      "same command again. If it stays so, the registry or a mirror answers with another package: do not use it.",
  },
  {
    pattern: /can only install packages when your package\.json and package-lock\.json/,
    sentence: () =>
      "package.json and package-lock.json disagree. Run `npm install`, then run the same command again.",
  },
];

/**
 * Turns npm's output into one sentence that says what to do.
 * @param {string} log everything npm printed
 */
export function explainNpmFailure(log) {
  // npm prints its errors last, and mentions retries that succeeded before them.
  const errors = log
    .split("\n")
    .filter((line) => /^npm (error|ERR!)/.test(line))
    .join("\n");
  const said = errors === "" ? log : errors;
  for (const { pattern, sentence } of CAUSES) {
    const match = pattern.exec(said);
    if (match !== null) return sentence(match[1]);
  }
  return "npm could not install the packages.";
}

/** The last lines of a log, indented for display under an error, without terminal control characters. */
export function tailOf(log, { lines }) {
  const kept = log
    .trimEnd()
    .replace(/[^\P{Cc}\n\t]/gu, "·")
    .split("\n")
    .slice(-lines);
  return kept.map((line) => `    ${line}`).join("\n");
}
