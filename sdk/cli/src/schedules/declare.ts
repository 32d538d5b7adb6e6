import { Option } from "@commander-js/extra-typings";
import { CATCH_UP, OVERLAP } from "@towpath/contract";
import { type Carry, gather, parameterOption, type Root, wholeNumber } from "../program.ts";
import { cancelBackfill, listBackfills, runBackfill } from "./backfills.ts";
import {
  deleteSchedule,
  listInstants,
  listSchedules,
  listUpcoming,
  setSchedule,
  switchSchedule,
} from "./commands.ts";

/** Declares `schedule` and `backfill`. */
export function declareSchedules(root: Root, carry: Carry): void {
  const schedule = scheduleGroup(root);
  declareSet(schedule, carry);
  declareLooks(schedule, carry);
  declareSwitches(schedule, carry);
  declareBackfills(root, carry);
}

function scheduleGroup(root: Root) {
  return root
    .command("schedule")
    .summary("when deployments run by themselves")
    .description(
      "A schedule says when a deployment runs by itself: by a cron expression, an interval or a recurrence rule.",
    );
}

type Group = ReturnType<typeof scheduleGroup>;

function declareSet(schedule: Group, carry: Carry): void {
  schedule
    .command("set")
    .description("Makes a schedule, or gives the one of this name other settings.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .option("--cron <expression>", 'five fields, or six with seconds first: "0 3 * * 1-5"')
    .option("--every <time>", "at equal distances: 15m")
    .option("--rrule <rule>", "a recurrence rule of RFC 5545: FREQ=MONTHLY;BYDAY=-1FR")
    .option("--start <time>", "the rule's first instant on the zone's clocks: 2026-01-01T09:00")
    .option("--zone <zone>", "whose clocks count: Europe/Berlin (default: UTC)")
    .addOption(parameterOption())
    .addOption(new Option("--catch-up <policy>", "instants missed while nothing ran").choices(CATCH_UP))
    .option("--window <time>", "how far back catching up looks: 2d")
    .addOption(new Option("--overlap <policy>", "while its previous run goes on").choices(OVERLAP))
    .option("--jitter <time>", "puts each run off by up to this: 5m")
    .option("--from <instant>", "not before")
    .option("--until <instant>", "not from then on")
    .option("--priority <n>", "of its runs (-100 to 100)", wholeNumber)
    .option("--expire-after <time>", "give up a run that no worker has started so long after it was due: 30m")
    .option("-t, --tag <tag>", "a tag of its runs; once for each", gather)
    .addHelpText(
      "after",
      '\nExamples:\n  $ towpath schedule set flights nightly --cron "0 3 * * *" --zone Europe/Berlin\n  $ towpath schedule set weather often --every 15m --overlap skip',
    )
    .action((deployment, name, { param, tag, ...options }, command) =>
      carry(command, (invocation) =>
        setSchedule(invocation, { ...options, deployment, schedule: name, given: param, tags: tag ?? [] }),
      ),
    );
}

function declareLooks(schedule: Group, carry: Carry): void {
  schedule
    .command("ls")
    .description("Lists schedules with their next instants.")
    .option("-d, --deployment <name>", "only those of this deployment")
    .option("--cursor <cursor>", "go on from an earlier page")
    .action((options, command) => carry(command, (invocation) => listSchedules(invocation, options)));
  schedule
    .command("next")
    .description("Shows instants to come, and the data intervals of their runs.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .option("-n, --limit <n>", "instants", wholeNumber, 10)
    .action((deployment, name, options, command) =>
      carry(command, (invocation) => listUpcoming(invocation, { deployment, schedule: name }, options.limit)),
    );
  schedule
    .command("history")
    .description("Shows what became of past instants: which run, or why none.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .option("-n, --limit <n>", "instants", wholeNumber, 20)
    .action((deployment, name, options, command) =>
      carry(command, (invocation) => listInstants(invocation, { deployment, schedule: name }, options.limit)),
    );
}

function declareSwitches(schedule: Group, carry: Carry): void {
  schedule
    .command("pause")
    .description("Lets no instant run until it is resumed.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .action((deployment, name, _, command) =>
      carry(command, (invocation) => switchSchedule(invocation, { deployment, schedule: name }, "paused")),
    );
  schedule
    .command("resume")
    .description("Goes on with the next instant.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .action((deployment, name, _, command) =>
      carry(command, (invocation) => switchSchedule(invocation, { deployment, schedule: name }, "resumed")),
    );
  schedule
    .command("rm")
    .description("Deletes a schedule. Its runs stay.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .action((deployment, name, _, command) =>
      carry(command, (invocation) => deleteSchedule(invocation, { deployment, schedule: name })),
    );
}

function declareBackfills(root: Root, carry: Carry): void {
  const backfill = root
    .command("backfill")
    .summary("run a schedule's past instants")
    .description("A backfill asks for the runs of past instants of a schedule, so many at a time.");
  backfill
    .command("run")
    .description("Asks for the runs of a range of past instants.")
    .argument("<deployment>", "the deployment")
    .argument("<schedule>", "the schedule whose instants they are")
    .requiredOption("--from <instant>", "the first instant, inclusive: 2026-01-01")
    .requiredOption("--to <instant>", "exclusive: 2026-02-01")
    .addOption(
      new Option("--order <order>", "which instants go first")
        .choices(["oldest", "newest"] as const)
        .default("oldest" as const),
    )
    .option("-c, --concurrency <n>", "runs at a time", wholeNumber, 1)
    .option("--dry-run", "only show what it would ask for")
    .addOption(parameterOption())
    .addHelpText(
      "after",
      "\nExample:\n  $ towpath backfill run flights nightly --from 2026-01-01 --to 2026-02-01 -c 4 --dry-run",
    )
    .action((deployment, schedule, { param, dryRun, ...options }, command) =>
      carry(command, (invocation) =>
        runBackfill(invocation, { ...options, deployment, schedule, given: param, dryRun: dryRun === true }),
      ),
    );
  backfill
    .command("ls")
    .description("Lists backfills, newest first, with their progress.")
    .option("-d, --deployment <name>", "only those of this deployment")
    .action((options, command) => carry(command, (invocation) => listBackfills(invocation, options)));
  backfill
    .command("cancel")
    .description("Asks for no further runs, and cancels those that have not ended.")
    .argument("<backfill>", "the backfill's id")
    .action((id, _, command) => carry(command, (invocation) => cancelBackfill(invocation, id)));
}
