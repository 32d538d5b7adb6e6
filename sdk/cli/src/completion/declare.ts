import { Argument } from "@commander-js/extra-typings";
import type { Carry, Root } from "../program.ts";
import { completionScript, SHELLS } from "./scripts.ts";

/** Declares `completion`. */
export function declareCompletion(root: Root, carry: Carry): void {
  root
    .command("completion")
    .summary("print the completion script of a shell")
    .description(
      "Prints a script with which a shell completes commands, options and their values. The first line of the script says where to put it.",
    )
    .addArgument(new Argument("<shell>", "the shell").choices(SHELLS))
    .addHelpText(
      "after",
      '\nExamples:\n  $ eval "$(towpath completion bash)"                  in ~/.bashrc\n  $ eval "$(towpath completion zsh)"                   in ~/.zshrc, after compinit\n  $ towpath completion fish > ~/.config/fish/completions/towpath.fish',
    )
    .action((shell, _, command) =>
      carry(command, async ({ output }) => {
        output.write(completionScript(root, shell));
      }),
    );
}
