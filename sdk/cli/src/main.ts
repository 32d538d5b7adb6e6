#!/usr/bin/env node
import { CommanderError } from "@commander-js/extra-typings";
import { declareChaos } from "./chaos/declare.ts";
import { declareDeployments } from "./deployments/declare.ts";
import { declareDev } from "./dev/declare.ts";
import { declareDoctor } from "./doctor/declare.ts";
import { EXIT } from "./failure.ts";
import { declareIdentity } from "./identity/declare.ts";
import { declareOpen } from "./identity/sign-in.ts";
import { declareLimits } from "./limits/declare.ts";
import { declareLogs } from "./logs/declare.ts";
import { declarePools } from "./pools/declare.ts";
import { carrier, rootCommand } from "./program.ts";
import { declareRuns } from "./runs/declare.ts";
import { declareSchedules } from "./schedules/declare.ts";
import { declareServer } from "./server/declare.ts";
import { declareStore } from "./store/declare.ts";
import { declareWorker } from "./worker/declare.ts";

let code: number = EXIT.ok;
let isReaderGone = false;

// A reader that goes away early, such as `head`, is no failure. What has to stop things in order then does.
process.stdout.on("error", (error) => {
  if (!("code" in error) || error.code !== "EPIPE") throw error;
  if (isReaderGone) return;
  isReaderGone = true;
  if (!process.emit("SIGHUP", "SIGHUP")) process.exit(code);
});

const carry = carrier({ stdout: process.stdout, stderr: process.stderr }, (exit) => {
  code = exit;
});
const root = rootCommand()
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error: /, "✗ ")) });
declareDev(root, carry);
declareDeployments(root, carry);
declareRuns(root, carry);
declareSchedules(root, carry);
declareLimits(root, carry);
declareLogs(root, carry);
declareOpen(root, carry);
declarePools(root, carry);
declareIdentity(root, carry);
declareWorker(root, carry);
declareStore(root, carry);
declareServer(root, carry);
declareDoctor(root, carry);
declareChaos(root, carry);

try {
  await root.parseAsync();
} catch (failure) {
  if (!(failure instanceof CommanderError)) throw failure;
  code = failure.exitCode === 0 ? EXIT.ok : EXIT.usage;
}
// A project's modules may leave timers or sockets behind; what was printed is waited for, they are not.
process.stdout.write("", () => process.exit(code));
