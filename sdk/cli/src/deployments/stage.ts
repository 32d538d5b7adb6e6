import { DEV_STAGE, Name } from "@towpath/contract";
import type { ProjectConfig, Stage } from "towpath/config";
import { Failure } from "../failure.ts";
import type { Invocation } from "../kernel/invocation.ts";
import { CONFIG_FILES } from "./python/config-file.ts";

/** `--stage NAME`; false for `--no-stage`; undefined if neither is given. */
export type StageChoice = string | false | undefined;

/** Commander's value of `--stage` and `--no-stage`. */
export function stageChoice(option: string | boolean | undefined): StageChoice {
  return option === true ? undefined : option;
}

/** A stage with its name. */
export type NamedStage = Stage & { readonly name: string };

/** A stage without settings, as a configuration in Python or data has it. */
const STAGE_WORDS: Readonly<Record<string, (name: string) => string>> = {
  [CONFIG_FILES.python]: (name) => `\`"${name}": stage()\``,
  [CONFIG_FILES.data]: (name) => `\`[tool.towpath.stages.${name}]\``,
};

/** The stages of a configuration, and `dev`, which every project has. */
function withDev(stages: readonly string[]): string[] {
  return [...new Set([...stages, DEV_STAGE])];
}

/**
 * The stage to deploy for. Every project has the stage `dev`; if the configuration does not describe it, it changes
 * nothing but the name.
 * @throws Failure if the project does not have it.
 */
export function stageOf(
  { stages = {} }: ProjectConfig,
  { name, file }: { name: string | undefined; file: string },
): NamedStage | null {
  if (name === undefined) return null;
  const stage = Object.hasOwn(stages, name) ? stages[name] : undefined;
  if (stage !== undefined || name === DEV_STAGE) return { ...stage, name };
  const known = withDev(Object.keys(stages)).join(", ");
  throw new Failure(`The project has no stage "${name}".`, {
    exit: "configuration",
    code: "bad-config",
    next: [
      `its stages: ${known}`,
      Name.safeParse(name).success
        ? `or add it under \`stages\` in ${file}: ${STAGE_WORDS[file]?.(name) ?? `\`${name}: {}\``}`
        : "a stage has lower-case letters, digits, - and _, at most 63",
    ],
  });
}

/**
 * Asks for the stage of a deploy if the project has stages and none was chosen.
 * @returns The stage's name; undefined: without a stage.
 * @throws Failure without a terminal.
 */
export async function askStage(
  { output }: Invocation,
  { stages, choice }: { stages: readonly string[]; choice: StageChoice },
): Promise<string | undefined> {
  if (choice !== undefined) return choice || undefined;
  if (stages.length === 0) return undefined;
  if (!process.stdin.isTTY || !output.live)
    throw new Failure("The project has stages, and no stage was chosen.", {
      exit: "usage",
      code: "stage-missing",
      next: [
        `choose one: ${withDev(stages)
          .map((name) => `--stage ${name}`)
          .join(", ")}`,
        "or add --no-stage to deploy without a stage",
      ],
    });
  const { isCancel, select } = await import("@clack/prompts");
  const options = withDev(stages).map((value) => ({ value }));
  const answer = await select<string>({ message: "Which stage do you deploy for?", options });
  if (isCancel(answer)) throw new Failure("Nothing was deployed.", { exit: "interrupted" });
  return answer;
}
