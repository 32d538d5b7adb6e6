import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { EXIT, failureJson, failureLines, toFailure } from "./failure.ts";
import { beginInvocation, type GlobalOptions, type Invocation } from "./kernel/invocation.ts";
import type { Streams } from "./output.ts";
import { VERSION } from "./version.ts";

/** Carries out one command: the exit code is the number it answers, else success. */
export type Carry = (command: { optsWithGlobals(): unknown }, act: Act) => Promise<void>;
type Act = (invocation: Invocation) => Promise<unknown>;

/** The root command, of which each domain declares its own. */
export type Root = ReturnType<typeof rootCommand>;

/** A whole number of an option. */
export function wholeNumber(text: string): number {
  if (!/^-?\d{1,9}$/.test(text)) throw new InvalidArgumentError("It must be a whole number.");
  return Number(text);
}

/** A count of an option, from 1 to `max`. */
export function countUpTo(max: number): (text: string) => number {
  return (text) => {
    const value = wholeNumber(text);
    if (value < 1 || value > max) throw new InvalidArgumentError(`It must be from 1 to ${max}.`);
    return value;
  };
}

/** A port of an option. */
export function portNumber(text: string): number {
  const port = wholeNumber(text);
  if (port < 1 || port > 65_535) throw new InvalidArgumentError("It must be a port, from 1 to 65535.");
  return port;
}

/** Gathers an option that may be given many times. */
export function gather(text: string, before: string[] = []): string[] {
  return [...before, text];
}

/** The `-p key=value` option. */
export function parameterOption() {
  return new Option("-p, --param <key=value>", "a parameter, typed by the flow's schema; once for each")
    .argParser(gather)
    .default([] as string[], "none");
}

/** The options that every command has, on a command of ours. */
function globalsOf(command: { optsWithGlobals(): unknown }): GlobalOptions {
  // Every command hangs below the root, which declares these options.
  return command.optsWithGlobals() as GlobalOptions;
}

/** How commands are carried out: failures become a sentence on stderr and an exit code. */
export function carrier(streams: Streams, exit: (code: number) => void): Carry {
  return async (command, act) => {
    const invocation = beginInvocation(streams, globalsOf(command));
    const { output } = invocation;
    try {
      const answer = await act(invocation);
      exit(typeof answer === "number" ? answer : EXIT.ok);
    } catch (thrown) {
      const failure = toFailure(thrown, invocation.spoken());
      for (const line of failureLines(failure, output.style)) output.note(line);
      output.fault(failureJson(failure));
      exit(EXIT[failure.exit]);
    }
  };
}

const EXAMPLES = `
Begin:
  $ towpath init my-flows                    a small project; then npm install in it
  $ towpath dev --run hello                  everything on this machine, and a first run

Every day:
  $ towpath run hello -p name=Ada --watch    start a run and follow it; exit code = outcome
  $ towpath runs ls failed                   what went wrong lately
  $ towpath logs RUN -f                      a run's log as it grows
  $ towpath deploy --plan                    what a deploy would change
  $ towpath open RUN                         a link that signs a browser in
  $ towpath doctor                           why something does not work

Exit codes: 0 completed, 1 failed, 2 cancelled, 64 and above: the command itself went wrong.`;

/** The root of the command, with the options that every command has. */
export function rootCommand() {
  return new Command()
    .name("towpath")
    .description("Runs data and ML flows on your infrastructure, and shows what they do.")
    .option("--url <url>", "control plane's address (else TOWPATH_URL, else the nearest .towpath/)")
    .option("--key <key>", "API key (else TOWPATH_KEY, else the nearest .towpath/)")
    .option("--state <dir>", "state folder, instead of the nearest .towpath/")
    .option("--json", "print JSON, for programs")
    .option("--no-color", "print without colour, as NO_COLOR does")
    .version(VERSION, "-V, --version", "print the version")
    .helpOption("-h, --help", "show help")
    .helpCommand("help [command]", "show the help of a command")
    .showSuggestionAfterError(true)
    .configureHelp({ showGlobalOptions: true })
    .addHelpText("after", EXAMPLES);
}
