import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { terminalText } from "@towpath/contract";

/** A command's full name: `towpath runs show`. */
function wordsOf(command: CommandUnknownOpts): string {
  const words: string[] = [];
  for (let one: CommandUnknownOpts | null = command; one !== null; one = one.parent)
    words.unshift(one.name());
  return words.join(" ");
}

/** Formats commander's message about a wrong command line like our other failures, with a next step. */
function misuse(said: string, command: CommandUnknownOpts): string {
  // Commander puts its suggestion in brackets on its own line.
  const text = said.replace(/^error: /, "").replace(/\n\((Did you mean .*)\)\n?$/, "\n→ $1\n");
  const [sentence = "", ...rest] = text.trimEnd().split("\n");
  const words = wordsOf(command);
  const isGroup = command.commands.length > 0;
  const next = isGroup
    ? `\`${words} --help\` lists the commands`
    : `usage: \`${words} ${command.usage()}\`; --help shows more`;
  return `${[`✗ ${sentence.replace(/[^.]$/, "$&.")}`, ...rest, `→ ${next}`].join("\n")}\n`;
}

/**
 * Makes a command and its subcommands throw on a wrong command line and print how to correct it. By default commander ends
 * the process with the exit code of a failed run.
 * @returns The same command.
 */
export function tellMisuse<C extends CommandUnknownOpts>(command: C): C {
  command
    .exitOverride()
    .configureOutput({ outputError: (said, write) => write(terminalText(misuse(said, command))) });
  for (const child of command.commands) tellMisuse(child);
  return command;
}
