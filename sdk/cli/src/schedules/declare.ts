import { Option } from "@commander-js/extra-typings";
import { BACKFILL_ONLY, CATCH_UP, OVERLAP } from "@towpath/contract";
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
    .summary("run deployments at set times")
    .description(
      "Sets, lists, pauses and removes schedules. A schedule starts runs of a deployment by a cron expression, an interval or a recurrence rule.",
    );
}

type Group = ReturnType<typeof scheduleGroup>;

function declareSet(schedule: Group, carry: Carry): void {
  schedule
    .command("set")
    .description("Creates or changes a schedule.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .option(
      "--cron <expression>",
      'use a cron expression of five fields, or six with seconds first: "0 3 * * 1-5"',
    )
    .option("--every <time>", "run at this interval: 15m")
    .option("--rrule <rule>", "use a recurrence rule of RFC 5545: FREQ=MONTHLY;BYDAY=-1FR")
    .option("--start <time>", "set the rule's first time, in the schedule's time zone: 2026-01-01T09:00")
    .option("--zone <zone>", "set the time zone: Europe/Berlin (default: UTC)")
    .addOption(parameterOption())
    .addOption(
      new Option("--catch-up <policy>", "choose what happens to times that were missed").choices(CATCH_UP),
    )
    .option("--window <time>", "catch up on missed times up to this age: 2d")
    .addOption(
      new Option("--overlap <policy>", "choose what happens if the previous run has not ended").choices(
        OVERLAP,
      ),
    )
    .option("--jitter <time>", "delay each run by up to this time: 5m")
    .option("--from <instant>", "start no run before this time: 2026-01-01, in the time zone of --zone")
    .option("--until <instant>", "start no run at or after this time: 2026-02-01, in the time zone of --zone")
    .option("--priority <n>", "set the priority of its runs, -100 to 100", wholeNumber)
    .option("--expire-after <time>", "fail a run if no worker starts it within this time, such as 30m")
    .option("-t, --tag <tag>", "add a tag to its runs; may be repeated", gather)
    .option("--dry-run", "show the next times and change nothing")
    .addHelpText(
      "after",
      '\nExamples:\n  $ towpath schedule set flights nightly --cron "0 3 * * *" --zone Europe/Berlin\n  $ towpath schedule set weather often --every 15m --overlap skip',
    )
    .action((deployment, name, { param, tag, dryRun = false, ...options }, command) =>
      carry(command, (invocation) =>
        setSchedule(invocation, {
          ...options,
          deployment,
          schedule: name,
          given: param,
          tags: tag ?? [],
          dryRun: dryRun === true,
        }),
      ),
    );
}

function declareLooks(schedule: Group, carry: Carry): void {
  schedule
    .command("ls")
    .description("Lists schedules with their next times.")
    .option("-d, --deployment <name>", "list only those of this deployment")
    .option("--stage <name>", "list only those of deployments of this stage")
    .option("--cursor <cursor>", "continue from an earlier page")
    .action((options, command) => carry(command, (invocation) => listSchedules(invocation, options)));
  schedule
    .command("next")
    .description("Shows the next scheduled times, and the data intervals of their runs.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .option("-n, --limit <n>", "show this many times", wholeNumber, 10)
    .action((deployment, name, options, command) =>
      carry(command, (invocation) => listUpcoming(invocation, { deployment, schedule: name }, options.limit)),
    );
  schedule
    .command("history")
    .description("Shows the run of each past scheduled time, or why there is none.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .option("-n, --limit <n>", "show this many times", wholeNumber, 20)
    .action((deployment, name, options, command) =>
      carry(command, (invocation) => listInstants(invocation, { deployment, schedule: name }, options.limit)),
    );
}

function declareSwitches(schedule: Group, carry: Carry): void {
  schedule
    .command("pause")
    .description("Pauses a schedule.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .action((deployment, name, _, command) =>
      carry(command, (invocation) => switchSchedule(invocation, { deployment, schedule: name }, "paused")),
    );
  schedule
    .command("resume")
    .description("Resumes a schedule at its next time.")
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .action((deployment, name, _, command) =>
      carry(command, (invocation) => switchSchedule(invocation, { deployment, schedule: name }, "resumed")),
    );
  schedule
    .command("rm")
    .description(
      "Removes a schedule. Its runs are kept. Asks first if the schedule comes from the code, because the next version creates it again. Without a terminal, that needs --yes.",
    )
    .argument("<deployment>", "the deployment")
    .argument("<name>", "the schedule's name")
    .option("-y, --yes", "remove without a question")
    .action((deployment, name, { yes = false }, command) =>
      carry(command, (invocation) => deleteSchedule(invocation, { deployment, schedule: name, yes })),
    );
}

function declareBackfills(root: Root, carry: Carry): void {
  const backfill = root
    .command("backfill")
    .summary("run a schedule's past times")
    .description(
      "Starts, lists and cancels backfills. A backfill starts runs for past times of a schedule, a few at a time.",
    );
  backfill
    .command("run")
    .description("Starts runs for a range of a schedule's past times.")
    .argument("<deployment>", "the deployment")
    .argument("<schedule>", "the schedule")
    .requiredOption(
      "--from <instant>",
      "start at this time: 2026-01-01 or 2026-01-01T09:00, in the schedule's time zone",
    )
    .requiredOption("--to <instant>", "end before this time: 2026-02-01, in the schedule's time zone")
    .addOption(
      new Option("--order <order>", "choose which times run first")
        .choices(["oldest", "newest"] as const)
        .default("oldest" as const),
    )
    .addOption(
      new Option("--only <times>", "run only times without a run, or also those whose runs did not complete")
        .choices(BACKFILL_ONLY)
        .default("all" as const),
    )
    .option("-c, --concurrency <n>", "run this many at a time", wholeNumber, 1)
    .option("--dry-run", "show the runs and start none")
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
    .option("-d, --deployment <name>", "list only those of this deployment")
    .action((options, command) => carry(command, (invocation) => listBackfills(invocation, options)));
  backfill
    .command("cancel")
    .description(
      "Cancels a backfill: starts no further runs and cancels those that have not ended. Asks first on a terminal.",
    )
    .argument("<backfill>", "the backfill's id")
    .option("-y, --yes", "cancel without a question")
    .action((backfillId, { yes = false }, command) =>
      carry(command, (invocation) => cancelBackfill(invocation, { backfillId, yes })),
    );
}
