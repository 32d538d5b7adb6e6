/** The control plane names another workspace than the worker's configuration. The worker takes no work from it. */
export class WrongWorkspace extends Error {
  override readonly name = "WrongWorkspace";
  readonly code = "wrong-workspace";

  constructor(args: { url: string; said: string; configured: string }) {
    super(
      `The control plane at ${args.url} says that this worker's key belongs to the workspace ${args.said}, and "workspace" in the worker's configuration is ${args.configured}. Check "url" and "key". If both are right, correct "workspace": \`towpath whoami\` prints the id.`,
    );
  }
}

/**
 * Checks the workspace that a control plane names for this worker's key.
 * @throws WrongWorkspace
 */
export function checkSessionWorkspace(
  { url, workspace }: { readonly url: string; readonly workspace?: string | undefined },
  said: string,
): void {
  if (workspace !== undefined && workspace !== said)
    throw new WrongWorkspace({ url, said, configured: workspace });
}
