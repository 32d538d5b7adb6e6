import { Option } from "@commander-js/extra-typings";
import { COLLISIONS, LIMIT_KINDS } from "@towpath/contract";
import { type Carry, type Root, wholeNumber } from "../program.ts";
import { deleteLimit, listLimits, setLimit, showLimit } from "./commands.ts";

const kindOption = () =>
  new Option(
    "--kind <kind>",
    "what is limited: a name that code takes, a deployment, a pool or pool/queue",
  ).choices(LIMIT_KINDS);

/** Declares `limit`. */
export function declareLimits(root: Root, carry: Carry): void {
  const limit = root
    .command("limit")
    .summary("how many may go at once, or per time")
    .description(
      "A limit has so many slots, or so many tokens per time. Runs and tasks take what they need or wait in line.",
    );
  limit
    .command("set")
    .description("Makes a limit, or sets the one of this name.")
    .argument("<name>", "the limit's name; for --kind deployment or pool, theirs")
    .argument("[slots]", "how many may be taken at once; 0: nothing goes", wholeNumber)
    .option("--rate <rate>", "tokens per time instead: 100/1m")
    .addOption(kindOption().default("named" as const))
    .addOption(new Option("--collision <what>", "a deployment's run that finds no slot").choices(COLLISIONS))
    .addHelpText(
      "after",
      "\nExamples:\n  $ towpath limit set warehouse 3\n  $ towpath limit set github --rate 5000/1h\n  $ towpath limit set flights 1 --kind deployment --collision cancel-new",
    )
    .action((name, slots, { rate, kind, collision }, command) =>
      carry(command, (invocation) => setLimit(invocation, { name, slots, rate, kind, collision })),
    );
  limit
    .command("ls")
    .alias("list")
    .description("Lists limits with who has their slots and how many wait.")
    .action((_, command) => carry(command, listLimits));
  limit
    .command("show")
    .description("Shows who has a limit's slots, and its line.")
    .argument("<name>", "the limit's name")
    .addOption(kindOption())
    .action((name, { kind }, command) =>
      carry(command, (invocation) => showLimit(invocation, { name, kind })),
    );
  limit
    .command("rm")
    .description("Deletes a limit: what waits for it alone goes at once.")
    .argument("<name>", "the limit's name")
    .addOption(kindOption())
    .action((name, { kind }, command) =>
      carry(command, (invocation) => deleteLimit(invocation, { name, kind })),
    );
}
