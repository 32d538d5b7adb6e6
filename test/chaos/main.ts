/**
 * Plays the matrix of faults: every case with real processes, then the invariants.
 * Usage: npm run chaos -- [--seed N] [--only CASE]... [--long] [--list] [--mutations]
 *
 * `--mutations` breaks pieces of the product, one at a time, and plays the case or test that must notice; `--only` then names a
 * mutation. `--long` plays the mutations after the cases, and `control-replicas` for ten minutes instead of one.
 */
import { parseArgs } from "node:util";
import { CASES } from "./cases/index.ts";
import { type Ground, openGround } from "./ground.ts";
import { headLine, type Result, resultLine, runCase } from "./matrix.ts";
import { NOTICES, runMutation, TEST_NOTICES, testNotices } from "./mutation.ts";
import { MUTATIONS } from "./mutations.ts";
import { PYTHON_MUTATIONS, type PythonMutationName, pythonNotices } from "./python-mutations.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    only: { type: "string", multiple: true, default: [] },
    long: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    mutations: { type: "boolean", default: false },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : Number(values.seed);
if (!Number.isSafeInteger(seed)) {
  console.error("--seed takes a whole number.");
  process.exit(2);
}
const wanted = (name: string) =>
  values.only.some((only) => name === only || name.startsWith(`${only}-`) || name.startsWith(`${only}@`));
const all = values.only.length === 0;
const chosen = CASES.filter((one) => all || wanted(one.name));
/** The mutations that a case must notice, and those that a test must notice. */
const taken = {
  byCase: (Object.keys(NOTICES) as (keyof typeof NOTICES)[]).filter((name) => all || wanted(name)),
  byTest: (Object.keys(TEST_NOTICES) as (keyof typeof TEST_NOTICES)[]).filter((name) => all || wanted(name)),
  byPython: (Object.keys(PYTHON_MUTATIONS) as PythonMutationName[]).filter((name) => all || wanted(name)),
};
const names = values.mutations
  ? [...Object.keys(MUTATIONS), ...Object.keys(PYTHON_MUTATIONS)]
  : CASES.map(({ name }) => name);
if ((values.mutations ? [...taken.byCase, ...taken.byTest, ...taken.byPython] : chosen).length === 0) {
  console.error(`There is none of that name. Names: ${names.join(", ")}.`);
  process.exit(2);
}
if (values.list) {
  if (values.mutations) for (const name of names) console.log(name);
  else for (const { name } of chosen) console.log(name);
  process.exit(0);
}

let [ran, broken] = [0, 0];

function print(result: Result, args: { again: string; good: string }): void {
  console.log(resultLine(result, args.good));
  ran += 1;
  if (result.faults.length === 0) return;
  broken += 1;
  for (const fault of result.faults) console.log(`    ${fault.replaceAll("\n", "\n    ")}`);
  console.log(`    again: npm run chaos -- --seed ${seed} ${args.again}`);
}

async function runMutations(ground: Ground): Promise<void> {
  for (const name of taken.byCase)
    print(await runMutation(name, { seed, ground }), {
      again: `--mutations --only ${name}`,
      good: "noticed",
    });
  for (const name of taken.byTest) tell(name, TEST_NOTICES[name].file, await testNotices(name));
  for (const name of taken.byPython) tell(name, PYTHON_MUTATIONS[name].tests, await pythonNotices(name));
}

function tell(name: string, file: string, { noticed, output }: { noticed: boolean; output: string }): void {
  ran += 1;
  if (!noticed) broken += 1;
  console.log(
    noticed ? `${file} fails without "${name}", as expected` : `${file} PASSES WITHOUT "${name}"\n${output}`,
  );
}

{
  await using ground = await openGround();
  console.log(headLine());
  if (!values.mutations)
    for (const one of chosen)
      print(await runCase(one, { seed, ground, long: values.long }), {
        again: `--only ${one.name}`,
        good: "holds",
      });
  if (values.mutations || (values.long && all)) await runMutations(ground);
}
console.log(`${ran} cases, ${broken} broken; seed ${seed}`);
process.exit(broken === 0 ? 0 : 1);
