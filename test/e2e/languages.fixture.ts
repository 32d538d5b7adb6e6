import { join } from "node:path";
import { describe } from "vitest";
import type { Stack } from "../harness/index.ts";
import { addEnvironment, hasPython } from "../python/interpreters.ts";

/** A language of flows. Its name is also the stage where its flows are deployed. */
export type Language = "typescript" | "python";

/** The same flows in each language. A flow's name is the same in both. */
export type Flows = Readonly<Record<Language, Readonly<Record<string, string>>>>;

/**
 * Runs the same tests for flows in each language.
 * Without Python on the machine its tests are skipped, and fail in CI.
 */
export function inEachLanguage(tests: (language: Language) => void): void {
  for (const language of ["typescript", "python"] as const)
    describe.skipIf(language === "python" && !hasPython)(`flows in ${language}`, () => tests(language));
}

/** Deploys a project into the stage of its language, and again after a change. @throws Error with the CLI's output. */
export async function deployAgain(
  stack: Stack,
  language: Language,
  home: string,
  env: NodeJS.ProcessEnv = {},
): Promise<void> {
  const deployed = await stack.towpath(["deploy", "--project", home, "--stage", language], { env });
  if (deployed.code !== 0) throw new Error(`deploy failed (${deployed.code}):\n${deployed.output}`);
}

/**
 * Deploys the flows of a language. `REGISTRY` in a configuration stands for the folder where the stack's workers look for code.
 * @param env More variables of the command, such as a workspace key.
 * @returns the project's folder. @throws Error with the CLI's output.
 */
export async function deployFlows(
  stack: Stack,
  language: Language,
  flows: Flows,
  env: NodeJS.ProcessEnv = {},
): Promise<string> {
  const registry = JSON.stringify(join(stack.folder, "registry"));
  const files = Object.entries(flows[language]).map(([path, text]) => [
    path,
    text.replace("REGISTRY", registry),
  ]);
  const home = await stack.project(Object.fromEntries(files));
  if (language === "python") await addEnvironment(home);
  await deployAgain(stack, language, home, env);
  return home;
}
