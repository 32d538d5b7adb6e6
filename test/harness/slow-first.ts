import { join } from "node:path";
import { BaseSequencer, type TestSpecification } from "vitest/node";

const ROOT = join(import.meta.dirname, "../..");

/** The test files that take longest, longest first. */
export const SLOW: readonly string[] = [
  "test/python/package.test.ts",
  "test/docs/page-lines.test.ts",
  "test/e2e/jobs.test.ts",
  "test/e2e/dev.test.ts",
  "test/e2e/remote.test.ts",
  "test/e2e/resume.test.ts",
  "test/e2e/suspend.test.ts",
  "test/e2e/path.test.ts",
  "services/control/src/runs/model/model.prop.test.ts",
  "services/control/src/kernel/postgres/start.test.ts",
  "test/e2e/two-control-planes.test.ts",
  "test/e2e/terminal.test.ts",
  "test/e2e/killed-command.test.ts",
  "test/e2e/compute.test.ts",
  "test/e2e/late-end.test.ts",
  "test/e2e/profiles.test.ts",
  "sdk/cli/src/deployments/remove.test.ts",
  "services/control/src/runs/admit/admission.prop.test.ts",
  "sdk/examples/src/flights/whole-way.test.ts",
];

interface Specification {
  readonly moduleId: string;
  readonly project: { readonly name: string };
}

/** Moves the slow files of each project to its front. The rest, and the projects, keep their order. */
export function slowFirst<S extends Specification>(files: readonly S[]): S[] {
  const projects = [...new Set(files.map(({ project }) => project.name))];
  const paths = SLOW.map((path) => join(ROOT, path));
  const rankOf = ({ moduleId }: S) => {
    const rank = paths.indexOf(moduleId);
    return rank === -1 ? paths.length : rank;
  };
  return files.toSorted(
    (a, b) => projects.indexOf(a.project.name) - projects.indexOf(b.project.name) || rankOf(a) - rankOf(b),
  );
}

/** Starts slow test files first, so that none of them still runs alone after all others have ended. */
export class SlowFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    return slowFirst(await super.sort(files));
  }
}
