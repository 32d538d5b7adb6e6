import { Option } from "@commander-js/extra-typings";
import { COLLISIONS, LIMIT_KINDS } from "@towpath/contract";
import { type Carry, type Root, wholeNumber } from "../program.ts";
import { deleteLimit, listLimits, setLimit, showLimit } from "./commands.ts";

const kindOption = () =>
  new Option(
    "--kind <kind>",
    "choose what is limited: a name that code uses, a deployment, a pool, a queue as pool/queue, or a tag of runs and tasks",
  ).choices(LIMIT_KINDS);

/** Declares `limit`. */
export function declareLimits(root: Root, carry: Carry): void {
  const limit = root
    .command("limit")
    .summary("limit how many runs or tasks run at once or per time")
    .description(
      "Sets, lists and removes limits. A limit has a number of slots, or of tokens per time. Runs and tasks take slots when they start, or wait in the limit's wait list.",
    );
  limit
    .command("set")
    .description("Creates or changes a limit.")
    .argument(
      "<name>",
      "the limit's name; with --kind, the name of the deployment, pool or queue, or the tag",
    )
    .argument("[slots]", "how many slots can be taken at once; 0 stops everything", wholeNumber)
    .option("--rate <rate>", "set a rate instead of slots, such as 100/1m")
    .addOption(kindOption().default("named" as const))
    .addOption(
      new Option(
        "--collision <what>",
        "choose what happens to a deployment's run if no slot is free",
      ).choices(COLLISIONS),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath limit set warehouse 3\n  $ towpath limit set github --rate 5000/1h\n  $ towpath limit set flights 1 --kind deployment --collision cancel-new\n  $ towpath limit set etl 2 --kind tag",
    )
    .action((name, slots, { rate, kind, collision }, command) =>
      carry(command, (invocation) => setLimit(invocation, { name, slots, rate, kind, collision })),
    );
  limit
    .command("ls")
    .alias("list")
    .description("Lists limits with their holders and the number of waiting runs.")
    .action((_, command) => carry(command, listLimits));
  limit
    .command("show")
    .description("Shows who holds a limit's slots, and its wait list.")
    .argument("<name>", "the limit's name")
    .addOption(kindOption())
    .action((name, { kind }, command) =>
      carry(command, (invocation) => showLimit(invocation, { name, kind })),
    );
  limit
    .command("rm")
    .description("Removes a limit. Runs that wait for this limit alone start at once.")
    .argument("<name>", "the limit's name")
    .addOption(kindOption())
    .action((name, { kind }, command) =>
      carry(command, (invocation) => deleteLimit(invocation, { name, kind })),
    );
}
