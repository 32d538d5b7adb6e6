/**
 * The matrix of faults: every case with real processes, then the invariants.
 * Usage: npm run chaos -- [--seed N] [--only CASE]... [--long] [--list]
 */
import { parseArgs } from "node:util";
import { CASES } from "./cases/index.ts";
import { openGround } from "./ground.ts";
import { headLine, resultLine, runCase } from "./matrix.ts";

const { values } = parseArgs({
  options: {
    seed: { type: "string" },
    only: { type: "string", multiple: true, default: [] },
    long: { type: "boolean", default: false },
    list: { type: "boolean", default: false },
  },
});
const seed = values.seed === undefined ? Math.floor(Math.random() * 1_000_000) : Number(values.seed);
if (!Number.isSafeInteger(seed)) {
  console.error("--seed takes a whole number.");
  process.exit(2);
}
const wanted = (name: string) =>
  values.only.some((only) => name === only || name.startsWith(`${only}-`) || name.startsWith(`${only}@`));
const chosen = CASES.filter((one) =>
  values.only.length === 0 ? values.long || one.long !== true : wanted(one.name),
);
if (chosen.length === 0) {
  console.error(`There is no such case. Cases: ${CASES.map(({ name }) => name).join(", ")}.`);
  process.exit(2);
}
if (values.list) {
  for (const { name, long } of chosen) console.log(long === true ? `${name} (long)` : name);
  process.exit(0);
}

let broken = 0;
{
  await using ground = await openGround();
  console.log(headLine());
  for (const one of chosen) {
    const result = await runCase(one, { seed, ground });
    console.log(resultLine(result));
    if (result.faults.length === 0) continue;
    broken += 1;
    for (const fault of result.faults) console.log(`    ${fault.replaceAll("\n", "\n    ")}`);
    console.log(`    again: npm run chaos -- --seed ${seed} --only ${one.name}`);
  }
}
console.log(`${chosen.length} cases, ${broken} broken; seed ${seed}`);
process.exit(broken === 0 ? 0 : 1);
