import { Command, type CommandUnknownOpts, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { closest, terminalText } from "@towpath/contract";
import { EXIT, failureJson, failureLines, toFailure } from "./failure.ts";
import { withClearCommands } from "./kernel/clear-commands.ts";
import { beginInvocation, type GlobalOptions, type Invocation } from "./kernel/invocation.ts";
import type { Streams } from "./output.ts";
import { VERSION } from "./version.ts";

/** Runs one command. The number that it returns is the exit code; without one the command succeeded. */
export type Carry = (command: CommandUnknownOpts, act: Act) => Promise<void>;
type Act = (invocation: Invocation) => Promise<unknown>;

/** The root command. Each domain adds its commands to it. */
export type Root = ReturnType<typeof rootCommand>;

/** Parses an option that is a whole number. */
export function wholeNumber(text: string): number {
  if (!/^-?\d{1,9}$/.test(text)) throw new InvalidArgumentError("Give a whole number.");
  return Number(text);
}

/** Parses an option that is a count from 1 to `max`. */
export function countUpTo(max: number): (text: string) => number {
  return (text) => {
    const value = wholeNumber(text);
    if (value < 1 || value > max) throw new InvalidArgumentError(`Give a number from 1 to ${max}.`);
    return value;
  };
}

/** Parses an option that is a port. */
export function portNumber(text: string): number {
  const port = wholeNumber(text);
  if (port < 1 || port > 65_535) throw new InvalidArgumentError("Give a port from 1 to 65535.");
  return port;
}

/** Collects the values of an option that may be repeated. */
export function gather(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** The `-p key=value` option. */
export function parameterOption() {
  return new Option(
    "-p, --param <key=value>",
    "set a parameter; its type comes from the flow's schema; may be repeated",
  )
    .argParser(gather)
    .default([] as string[], "none");
}

/** The options that every command has. */
function globalsOf(command: { optsWithGlobals(): unknown }): GlobalOptions {
  // Every command hangs below the root, which declares these options.
  return command.optsWithGlobals() as GlobalOptions;
}

/** Runs commands. A failure becomes a sentence on stderr and an exit code. */
export function carrier(streams: Streams, exit: (code: number) => void): Carry {
  return async (command, act) => {
    const invocation = beginInvocation(streams, globalsOf(command));
    const { output } = invocation;
    try {
      const answer = await act(invocation);
      exit(typeof answer === "number" ? answer : EXIT.ok);
    } catch (thrown) {
      const failure = withClearCommands(toFailure(thrown, invocation.spoken()), {
        argv: process.argv.slice(2),
        command,
      });
      for (const line of failureLines(failure, output.style)) output.note(line);
      output.fault(failureJson(failure));
      exit(EXIT[failure.exit]);
    }
  };
}

const EXAMPLES = `
Begin:
  $ towpath init my-flows                    create a small project; then run npm install in it
  $ towpath dev --run hello                  start everything on this machine, and a first run

Every day:
  $ towpath run hello -p name=Ada --watch    start a run and follow it; the exit code is its outcome
  $ towpath runs ls failed                   list the runs that failed
  $ towpath logs RUN -f                      follow a run's log
  $ towpath deploy --plan                    show what a deploy would change
  $ towpath open RUN                         print a link to the run in the dashboard
  $ towpath doctor                           find out why something does not work

Exit codes: 0 completed, 1 failed, 2 cancelled; 64 and above: the command itself failed.`;

/** The root of the command, with the options that every command has. */
export function rootCommand() {
  return new Command()
    .name("towpath")
    .description("Runs data and ML flows on your infrastructure, and shows what they do.")
    .option(
      "--url <url>",
      "set the control plane's address (default: TOWPATH_URL, then the nearest .towpath/)",
    )
    .option("--key <key>", "set the API key (default: TOWPATH_KEY, then the nearest .towpath/)")
    .option(
      "--profile <name>",
      "use the address and key of this profile (default: TOWPATH_PROFILE); see `towpath profiles`",
    )
    .option("--state <dir>", "use this state folder instead of the nearest .towpath/")
    .option("--json", "print JSON, for programs")
    .option("--no-color", "print without colour, like NO_COLOR")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show help for a command")
    .showSuggestionAfterError(false)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", EXAMPLES);
}

/** A command's full name: `towpath runs show`. */
function wordsOf(command: CommandUnknownOpts): string {
  const words: string[] = [];
  for (let one: CommandUnknownOpts | null = command; one !== null; one = one.parent)
    words.unshift(one.name());
  return words.join(" ");
}

/** Suggests the command or option that a mistyped word is near to. Commander's own suggestions may share no more than two letters. */
function suggestion(sentence: string, command: CommandUnknownOpts): string[] {
  const [, kind, word = ""] = /^unknown (command|option) '(.+)'/.exec(sentence) ?? [];
  if (kind === undefined) return [];
  const help = command.createHelp();
  const known =
    kind === "command"
      ? help.visibleCommands(command).flatMap((one) => [one.name(), ...one.aliases()])
      : [...help.visibleOptions(command), ...help.visibleGlobalOptions(command)].map(
          ({ long }) => long ?? "",
        );
  const near = closest(word.replace(/=.*/, ""), known);
  if (near === null) return [];
  // `deploys` may mean `deploy` or `deployments`.
  const longer = kind === "command" ? known.filter((one) => one !== near && one.startsWith(near)) : [];
  return [`→ Did you mean ${[near, ...longer].map((one) => `\`${one}\``).join(" or ")}?`];
}

/** Says how parameters are given, to a person who wrote them as `python flow.py key=value` takes them. */
function parameterAdvice(sentence: string, command: CommandUnknownOpts): string[] {
  const isParameter = sentence.startsWith("too many arguments") && sentence.includes("=");
  return isParameter && command.options.some(({ long }) => long === "--param")
    ? ["→ Write -p before each parameter: `-p key=value`."]
    : [];
}

/** Formats commander's message about a wrong command line like our other failures, with a next step. */
function misuse(text: string, command: CommandUnknownOpts): string {
  const [sentence = "", ...more] = text
    .replace(/^error: /, "")
    .trimEnd()
    .split("\n");
  const rest = [...more, ...suggestion(sentence, command), ...parameterAdvice(sentence, command)];
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
    .configureOutput({ outputError: (text, write) => write(terminalText(misuse(text, command))) });
  for (const child of command.commands) tellMisuse(child);
  return command;
}
