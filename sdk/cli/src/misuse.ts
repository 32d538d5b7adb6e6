import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { terminalText } from "@towpath/contract";

/** The words that lead to a command: `towpath runs show`. */
function wordsOf(command: CommandUnknownOpts): string {
  const words: string[] = [];
  for (let one: CommandUnknownOpts | null = command; one !== null; one = one.parent)
    words.unshift(one.name());
  return words.join(" ");
}

/** What commander says of a command line that makes no sense, as failures are told, with what to type next. */
function misuse(said: string, command: CommandUnknownOpts): string {
  // Commander sets what it would suggest in brackets, on a line of its own.
  const text = said.replace(/^error: /, "").replace(/\n\((Did you mean .*)\)\n?$/, "\n→ $1\n");
  const [sentence = "", ...rest] = text.trimEnd().split("\n");
  const words = wordsOf(command);
  const isGroup = command.commands.length > 0;
  const next = isGroup
    ? `\`${words} --help\` lists the commands`
    : `\`${words} ${command.usage()}\`; --help tells more`;
  return `${[`✗ ${sentence.replace(/[^.]$/, "$&.")}`, ...rest, `→ ${next}`].join("\n")}\n`;
}

/**
 * Has a command and all below it throw where the command line makes no sense, instead of ending the process with the
 * code of a failed run, and say what to type.
 * @returns The same command.
 */
export function tellMisuse<C extends CommandUnknownOpts>(command: C): C {
  command
    .exitOverride()
    .configureOutput({ outputError: (said, write) => write(terminalText(misuse(said, command))) });
  for (const child of command.commands) tellMisuse(child);
  return command;
}
