import type { CommandUnknownOpts } from "@commander-js/extra-typings";

/** A word that can follow a command, with its help. */
interface Word {
  readonly word: string;
  readonly help: string;
}

/** One command and the words that can follow it. */
interface Node {
  /** Its words, such as `towpath runs ls`. */
  readonly path: string;
  readonly commands: readonly Word[];
  readonly options: readonly Word[];
  /** The values of options that have a fixed set of them. */
  readonly choices: readonly { readonly option: string; readonly values: readonly string[] }[];
}

const firstSentence = (text: string) => text.split(/[.;(](?=\s|$)|\n/, 1)[0]?.trim() ?? "";

function nodeOf(path: string, command: CommandUnknownOpts): Node {
  const help = command.createHelp();
  const visible = [...help.visibleOptions(command), ...(command.parent === null ? [] : globalsOf(command))];
  const commands = help.visibleCommands(command).map((one) => ({
    word: one.name(),
    help: firstSentence(one.summary() || one.description()),
  }));
  const options = visible.flatMap(({ long, description }) =>
    long ? [{ word: long, help: firstSentence(description) }] : [],
  );
  const choices = visible.flatMap(({ long, short, argChoices }) =>
    argChoices ? [long, short].flatMap((option) => (option ? [{ option, values: argChoices }] : [])) : [],
  );
  return { path, commands, options, choices };
}

function globalsOf(command: CommandUnknownOpts): readonly CommandUnknownOpts["options"][number][] {
  let root = command;
  while (root.parent !== null) root = root.parent;
  return root.options.filter(({ long }) => long !== "--version");
}

/** A command and all commands below it, without hidden ones. */
function nodesOf(command: CommandUnknownOpts, path = command.name()): Node[] {
  const below = command
    .createHelp()
    .visibleCommands(command)
    .filter((one) => one.name() !== "help");
  return [nodeOf(path, command), ...below.flatMap((one) => nodesOf(one, `${path} ${one.name()}`))];
}

const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
const wordsOf = ({ commands, options }: Node) => [...commands, ...options];

/** Case labels of all commands below the root: the words that lead one command further. */
const stepsOf = (nodes: readonly Node[]) => nodes.slice(1).map(({ path }) => `"${path}"`);

function choicesCases(nodes: readonly Node[], print: (values: readonly string[]) => string): string[] {
  return nodes.flatMap(({ path, choices }) =>
    choices.map(({ option, values }) => `    "${path} ${option}") ${print(values)} ;;`),
  );
}

function bash(name: string, nodes: readonly Node[]): string {
  return `# Completion of ${name} for bash. Add this line to ~/.bashrc:  eval "$(${name} completion bash)"
_${name}() {
  local at="${name}" words="" i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at \${COMP_WORDS[i]}" in
      ${stepsOf(nodes).join("|")}) at="$at \${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at" in
${nodes
  .map(
    (node) =>
      `    "${node.path}") words="${wordsOf(node)
        .map(({ word }) => word)
        .join(" ")}" ;;`,
  )
  .join("\n")}
  esac
  case "$at \${COMP_WORDS[COMP_CWORD - 1]}" in
${choicesCases(nodes, (values) => `words="${values.join(" ")}"`).join("\n")}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _${name} ${name}
`;
}

function zsh(name: string, nodes: readonly Node[]): string {
  const described = ({ word, help }: Word) => quoted(`${word.replaceAll(":", "\\:")}:${help}`);
  return `#compdef ${name}
# Completion of ${name} for zsh. Add this line to ~/.zshrc, after compinit:  eval "$(${name} completion zsh)"
_${name}() {
  local at="${name}" i
  local -a offered
  for ((i = 2; i < CURRENT; i++)); do
    case "$at \${words[i]}" in
      (${stepsOf(nodes).join("|")}) at="$at \${words[i]}" ;;
    esac
  done
  case "$at \${words[CURRENT - 1]}" in
${choicesCases(nodes, (values) => `offered=(${values.map(quoted).join(" ")})`)
  .map((line) => line.replace('"', '("'))
  .join("\n")}
  esac
  if (( ! \${#offered} )); then
    case "$at" in
${nodes.map((node) => `      ("${node.path}") offered=(${wordsOf(node).map(described).join(" ")}) ;;`).join("\n")}
    esac
  fi
  _describe -o '${name}' offered || _files
}
compdef _${name} ${name}
`;
}

function fish(name: string, nodes: readonly Node[]): string {
  const lines = nodes.flatMap(({ path, commands, options, choices }) => {
    const at = `complete -c ${name} -n "__${name}_at ${quoted(path)}"`;
    const help = (text: string) => (text === "" ? "" : ` -d ${quoted(text)}`);
    const valuesOf = (word: string) => choices.find(({ option }) => option === word)?.values;
    return [
      ...commands.map((one) => `${at} -a ${one.word}${help(one.help)}`),
      ...options.map(({ word, help: text }) => {
        const values = valuesOf(word);
        const from = values === undefined ? "" : ` -x -a ${quoted(values.join(" "))}`;
        return `${at} -l ${word.slice(2)}${from}${help(text)}`;
      }),
    ];
  });
  return `# Completion of ${name} for fish. Write it once:  ${name} completion fish > ~/.config/fish/completions/${name}.fish
function __${name}_at
  set -l at ${name}
  for word in (commandline -opc)[2..-1]
    switch "$at $word"
      case ${stepsOf(nodes).join(" ")}
        set at "$at $word"
    end
  end
  test "$at" = "$argv[1]"
end
${lines.join("\n")}
`;
}

const SCRIPTS = { bash, zsh, fish };

/** The shells that have a completion. */
export const SHELLS = ["bash", "zsh", "fish"] as const satisfies (keyof typeof SCRIPTS)[];

/** The completion script of a command and all commands below it, for a shell. */
export function completionScript(root: CommandUnknownOpts, shell: (typeof SHELLS)[number]): string {
  return SCRIPTS[shell](root.name(), nodesOf(root));
}
