import type { DeploymentVersion } from "@towpath/contract";

/** The digest of the code, or its short form in `text`. A link to the commit, if the registry has one. */
export function CodeDigest({ code, text }: { code: DeploymentVersion["code"]; text: string }) {
  const digest = (
    <code
      className="font-mono [overflow-wrap:anywhere]"
      title={`${code.kind === "git" ? "Commit" : "Digest"} ${code.digest} in ${code.registry}`}
    >
      {text}
    </code>
  );
  if (code.kind !== "git" || code.link === undefined) return digest;
  return (
    <a href={code.link} target="_blank" rel="noopener noreferrer" className="text-accent hover:underline">
      {digest}
    </a>
  );
}
