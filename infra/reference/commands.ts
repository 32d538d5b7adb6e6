import { EXIT, towpath } from "@towpath/cli/commands";
import { type Page, table } from "./page.ts";

const ROOT = await towpath(async () => undefined);
type Command = (typeof ROOT)["commands"][number];

const NOTE =
  "<!-- Written by `npm run reference` from sdk/cli. Edit the commands' declarations, not this page. -->";

/** Commander appends defaults and choices to a description. This is the description without them. */
function optionRows(command: Pick<Command, "options">): string[][] {
  return command.options
    .filter((option) => !option.hidden)
    .map(({ flags, description, defaultValue, defaultValueDescription, argChoices }) => {
      const shown =
        defaultValueDescription ?? (defaultValue === undefined ? "" : JSON.stringify(defaultValue));
      const choices = argChoices ? ` One of ${argChoices.map((choice) => `\`${choice}\``).join(", ")}.` : "";
      return [`\`${flags}\``, `${description}${choices}`, shown];
    });
}

function usage(command: Command, path: string): string {
  const args = command.registeredArguments.map((argument) => {
    const name = argument.variadic ? `${argument.name()}...` : argument.name();
    return argument.required ? `<${name}>` : `[${name}]`;
  });
  const options = command.options.length > 0 ? ["[options]"] : [];
  return [path, ...args, ...options].join(" ");
}

/** The commands in the help. Hidden ones are started only by other commands. */
function shownOf(command: Pick<Command, "commands" | "createHelp">): readonly Command[] {
  const listed = new Set<unknown>(command.createHelp().visibleCommands(command as Command));
  return command.commands.filter((one) => listed.has(one));
}

function sections(command: Command, above: string): string[] {
  const path = `${above} ${command.name()}`;
  const inner = shownOf(command).flatMap((one) => sections(one, path));
  if (command.commands.length > 0 && command.registeredArguments.length === 0 && command.options.length === 0)
    return inner;
  const rows = optionRows(command);
  const also = command.aliases().length > 0 ? ` Also \`${above} ${command.aliases().join(", ")}\`.` : "";
  return [
    `## \`${usage(command, path)}\``,
    `${sentence(command.description() || command.summary())}${also}`,
    ...(rows.length > 0 ? [table(["option", "", "default"], rows)] : []),
    ...inner,
  ];
}

/** A summary starts with a small letter and has no full stop, as commander lists it. */
function sentence(text: string): string {
  const whole = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.:]$/.test(whole) ? whole : `${whole}.`;
}

/** Every command with its options. */
export function commandsPage(): Page {
  const exits = Object.entries(EXIT).map(([name, code]) => [String(code), name]);
  const text = [
    NOTE,
    "# Commands",
    "All commands and options of `towpath`. `towpath help COMMAND` prints the same. For environment variables, see [configuration](configuration.md).",
    "Every command also has these options:",
    table(["option", "", "default"], optionRows(ROOT)),
    ...shownOf(ROOT).flatMap((command) => sections(command, "towpath")),
    "## Exit codes",
    "Codes below 64 are the outcome of the run. Codes from 64 on are errors of the command itself.",
    table(["code", "meaning"], exits),
  ];
  return { path: "docs/reference/commands.md", text: `${text.join("\n\n")}\n` };
}
