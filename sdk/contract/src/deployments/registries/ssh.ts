/** Files that `ssh` reads, absolute paths. */
export interface SshFiles {
  readonly keyFile: string;
  readonly knownHostsFile: string;
}

/** A path in a configuration of ssh: quoted, and without its percent tokens. */
function quoted(path: string): string {
  return `"${path.replaceAll("%", "%%").replaceAll(/(["\\])/g, "\\$1")}"`;
}

/**
 * A configuration of OpenSSH's client that uses one key and one list of host keys, and nothing else of this machine or its user: no
 * agent, no other key, no question, no forwarding, no host that is not in the list.
 * @see https://man.openbsd.org/ssh_config
 */
export function sshConfig({ keyFile, knownHostsFile }: SshFiles): string {
  const settings = [
    ["BatchMode", "yes"],
    ["StrictHostKeyChecking", "yes"],
    ["UserKnownHostsFile", quoted(knownHostsFile)],
    ["GlobalKnownHostsFile", "/dev/null"],
    ["UpdateHostKeys", "no"],
    ["VerifyHostKeyDNS", "no"],
    ["CanonicalizeHostname", "no"],
    ["IdentityFile", quoted(keyFile)],
    ["IdentitiesOnly", "yes"],
    ["IdentityAgent", "none"],
    ["PreferredAuthentications", "publickey"],
    ["PasswordAuthentication", "no"],
    ["KbdInteractiveAuthentication", "no"],
    ["ForwardAgent", "no"],
    ["ForwardX11", "no"],
    ["ClearAllForwardings", "yes"],
    ["PermitLocalCommand", "no"],
    ["ProxyCommand", "none"],
    ["ControlMaster", "no"],
    ["ControlPath", "none"],
    ["RequestTTY", "no"],
    ["ConnectTimeout", "15"],
    ["ServerAliveInterval", "15"],
    ["ServerAliveCountMax", "4"],
    ["LogLevel", "ERROR"],
  ];
  return `Host *\n${settings.map(([name, value]) => `  ${name} ${value}\n`).join("")}`;
}

/** The variables by which git starts ssh with a configuration file, and no other. */
export function sshEnvironment(configFile: string): Record<string, string> {
  // Git gives this text to a shell.
  const word = `'${configFile.replaceAll("'", "'\\''")}'`;
  return { GIT_SSH_COMMAND: `ssh -F ${word}`, GIT_SSH_VARIANT: "ssh" };
}

/** A key or a list of host keys as a file of ssh needs it: with a line break at its end, which secrets do not have. */
export function sshFileText(text: string): string {
  return `${text.replaceAll("\r\n", "\n").replace(/\n+$/, "")}\n`;
}
