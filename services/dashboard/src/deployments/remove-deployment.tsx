import { useNavigate } from "@tanstack/react-router";
import { type Deployment, deploymentPartsOf } from "@towpath/contract";
import { client } from "../kernel/client.ts";
import { counted } from "../kernel/format.ts";
import { RemoveDialog } from "../kernel/remove-dialog.tsx";
import { toast } from "../kernel/toast.tsx";

/** Removes a deployment, and then shows the list of deployments. */
export function RemoveDeployment({
  deployment: { name, latest },
  schedules,
  onClose,
}: {
  deployment: Deployment;
  /** How many schedules it has. */
  schedules: number;
  onClose: () => void;
}) {
  const navigate = useNavigate();
  const { stage } = deploymentPartsOf(name);
  const deploy = stage === null ? "towpath deploy" : `towpath deploy --stage ${stage}`;
  return (
    <RemoveDialog
      title={`Remove ${name}?`}
      deleted={`${schedules === 0 ? "Its" : `${counted(schedules, "schedule")}, its`} limit and its use of shared limits. No new run can start.`}
      stays={
        <>
          Its runs and versions, until the end of their retention. Notifiers. The code in your registry.{" "}
          <code>{deploy}</code> registers it again, as v{latest.version + 1}.
        </>
      }
      does="Remove the deployment"
      remove={() => client.deleteDeployment({ params: { name } })}
      onRemoved={() => {
        toast(`Removed ${name}.`);
        void navigate({ to: "/deployments" });
      }}
      onClose={onClose}
    />
  );
}
