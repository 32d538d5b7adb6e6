import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import { shellWord } from "@towpath/contract";
import { Failure } from "../failure.ts";

/** At most this many commands are suggested. */
const COMMANDS_SHOWN_MAX = 5;
/** Options whose values may be confidential: they are not printed. */
const UNPRINTED: readonly string[] = ["--param", "--answer"];

/** A command line, and the command that it calls. */
interface Typed {
  readonly argv: readonly string[];
  readonly command: CommandUnknownOpts;
}

/** A word of a command line that holds an argument, or the value of an option. */
interface Held {
  /** What stands before the value in the same word, such as `--deployment=`. */
  readonly prefix: string;
  readonly value: string;
  /** The long flag of the option. Null: an argument of the command. */
  readonly option: string | null;
}

function lineOf(command: CommandUnknownOpts): CommandUnknownOpts[] {
  const line: CommandUnknownOpts[] = [];
  for (let one: CommandUnknownOpts | null = command; one !== null; one = one.parent) line.push(one);
  return line;
}

/** What a word that begins with `-` holds itself, or `next` if the following word is its value. Null: neither. */
function ofFlag(word: string, valued: ReadonlyMap<string, string>): Held | { readonly next: string } | null {
  const [flag = ""] = word.split("=", 1);
  const long = valued.get(flag);
  if (long !== undefined && word.startsWith("--") && word !== flag)
    return { prefix: `${flag}=`, value: word.slice(flag.length + 1), option: long };
  if (long !== undefined && word === flag) return { next: long };
  const short = valued.get(word.slice(0, 2));
  return short === undefined || word.startsWith("--")
    ? null
    : { prefix: word.slice(0, 2), value: word.slice(2), option: short };
}

/** The words that hold arguments and values of options, by their index. The names of the commands are not among them. */
function heldWords({ argv, command }: Typed): ReadonlyMap<number, Held> {
  const line = lineOf(command);
  const options = line.flatMap((one) => one.options).filter(({ required, optional }) => required || optional);
  const valued = new Map(
    options.flatMap(({ short, long }) =>
      [short, long].flatMap((flag) => (flag && long ? [[flag, long] as const] : [])),
    ),
  );
  const held = new Map<number, Held>();
  let names = line.length - 1;
  let option: string | null = null;
  let isOver = false;
  for (const [index, word] of argv.entries()) {
    if (option !== null) held.set(index, { prefix: "", value: word, option });
    const isValue = option !== null;
    option = null;
    if (isValue) continue;
    if (!isOver && word === "--") isOver = true;
    else if (!isOver && word.startsWith("-") && word !== "-") {
      const found = ofFlag(word, valued);
      if (found !== null && "next" in found) option = found.next;
      else if (found !== null) held.set(index, found);
    } else if (names > 0) names--;
    else held.set(index, { prefix: "", value: word, option: null });
  }
  return held;
}

function printedWord(word: string, held: Held | undefined): string {
  if (held?.option == null || !UNPRINTED.includes(held.option)) return shellWord(word);
  const equals = held.value.indexOf("=");
  const shown = `${held.prefix}${equals < 0 ? "" : held.value.slice(0, equals + 1)}`;
  return `${shown === "" ? "" : shellWord(shown)}…`;
}

/**
 * A failure about an unclear word of the command line, with the whole commands that are clear. Values of parameters and answers
 * are not in them. The same failure, if the word is not in the command line, as when the user was asked for it.
 */
export function withClearCommands(failure: Failure, typed: Typed): Failure {
  const { instead, exit, code, faults, cause } = failure;
  const { argv } = typed;
  // A key must not be printed.
  const hasKey = argv.some((word) => word === "--key" || word.startsWith("--key="));
  if (instead === undefined || hasKey) return failure;
  const held = heldWords(typed);
  const found = [...held].filter(([, { value }]) => value === instead.written);
  const [at, meant] =
    found.find(([, { option }]) => option === null) ??
    found.find(([, { option }]) => option === "--deployment") ??
    [];
  if (at === undefined || meant === undefined) return failure;
  const commands = instead.names.slice(0, COMMANDS_SHOWN_MAX).map((name) => {
    const words = argv.map((word, index) =>
      index === at ? shellWord(`${meant.prefix}${name}`) : printedWord(word, held.get(index)),
    );
    return `\`${["towpath", ...words].join(" ")}\``;
  });
  return new Failure(failure.message, { exit, code, faults, cause, next: commands });
}
