import { failpoint, type SliceRoutes } from "../kernel/index.ts";
import { call, createRun } from "../runs/index.ts";
import { claim, claimNext, Dispatchers, WaitingPolls } from "./claim/poll.ts";
import { renew } from "./claim/renew.ts";
import { getReceived } from "./received.ts";
import { ReportQueue } from "./report/queue.ts";
import type { LooseRecord } from "./report/records.ts";
import { withoutPlain } from "./report/refuse-plain.ts";
import { setSealing } from "./sealing.ts";

/** The routes of workers, whose polls wait at these dispatchers. `createRun` is one of them: a waiting poll may get the new run at once. */
export function routesOf(dispatchers: Dispatchers): SliceRoutes {
  const waiting = new WaitingPolls();
  const reports = new ReportQueue();
  return (register) => {
    register("createRun", ({ deps, scope, body }) => createRun(deps, scope, body, dispatchers));
    register("claim", async ({ deps, scope, body, signal }) => {
      const answer = await waiting.pass(scope.workspaceId, () =>
        claim(deps, { worker: scope, poll: body, dispatchers, signal }),
      );
      if (answer.assignments.length > 0) failpoint("claim");
      return answer;
    });
    register("renew", ({ deps, scope, body }) => renew(deps, scope, body));
    register("call", ({ deps, scope, body, signal }) => call(deps, scope, body, signal));
    register("setSealing", ({ deps, scope, body }) => setSealing(deps, { scope, sealed: body.sealed }));
    register("report", async ({ deps, scope, body }) => {
      const { next: poll } = body;
      const attempts = scope.sealed ? withoutPlain(body.attempts) : body.attempts;
      const ending = poll === undefined ? [] : attempts.filter(({ control }) => control.some(isEnd));
      const [answer, next] = await Promise.all([
        reports.report(deps, scope, { attempts }),
        poll === undefined ? null : claimNext(deps, { worker: scope, next: poll, ending, dispatchers }),
      ]);
      const ended = answer.attempts.filter(
        ({ status, outcome }) => status === "accepted" && outcome !== null,
      );
      dispatchers.ended(
        scope,
        ended.map(({ attemptId }) => attemptId),
      );
      failpoint("acknowledge");
      return next === null ? answer : { ...answer, next };
    });
    register("getReceived", ({ deps, scope, params }) => getReceived(deps, scope, params));
  };
}

/** The routes of workers. Each application that registers them has its own dispatchers, which end with their polls. */
export const workerRoutes: SliceRoutes = (register) => routesOf(new Dispatchers())(register);

/** Whether a control record says that its attempt has ended. */
function isEnd({ type }: LooseRecord): boolean {
  return type === "ended";
}
