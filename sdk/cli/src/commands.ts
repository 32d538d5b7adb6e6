import { declareAttack } from "./attack/commands.ts";
import { declareChaos } from "./chaos/commands.ts";
import { declareCompletion } from "./completion/declare.ts";
import { declareDemo } from "./demo/seed.ts";
import { declareDeployments } from "./deployments/declare.ts";
import { declareLedger } from "./deployments/ledger-commands.ts";
import { declareDev } from "./dev/dev.ts";
import { declareDoctor } from "./doctor/commands.ts";
import { declareIdentity } from "./identity/declare.ts";
import { declareLogin } from "./identity/login.ts";
import { declareProfiles } from "./identity/profiles.ts";
import { declareSessions } from "./identity/sessions.ts";
import { declareOpen } from "./identity/sign-in.ts";
import { declareWorkspace } from "./identity/workspace.ts";
import { declareLimits } from "./limits/declare.ts";
import { declareLogs } from "./logs/declare.ts";
import { declareNotify } from "./notify/declare.ts";
import { declarePools } from "./pools/declare.ts";
import { type Carry, type Root, rootCommand } from "./program.ts";
import { declareRuns } from "./runs/declare.ts";
import { declareSchedules } from "./schedules/declare.ts";
import { declareServer } from "./server/declare.ts";
import { declareStore } from "./store/prune.ts";
import { declareView } from "./view/commands.ts";
import { declareWorker } from "./worker/declare.ts";

/** The exit codes, for the reference. */
export { EXIT } from "./failure.ts";

/** In the order of `towpath --help`. */
const DECLARATIONS = [
  declareDev,
  declareDeployments,
  declareLedger,
  declareRuns,
  declareSchedules,
  declareLimits,
  declareNotify,
  declareLogs,
  declareOpen,
  declareView,
  declarePools,
  declareLogin,
  declareProfiles,
  declareIdentity,
  declareWorkspace,
  declareSessions,
  declareWorker,
  declareStore,
  declareServer,
  declareDoctor,
  declareChaos,
  declareAttack,
  declareDemo,
  declareCompletion,
] satisfies ((root: Root, carry: Carry) => void)[];

/** The whole command, `towpath`. */
export function towpath(carry: Carry): Root {
  const root = rootCommand();
  for (const declare of DECLARATIONS) declare(root, carry);
  return root;
}
