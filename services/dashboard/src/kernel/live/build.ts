/** The script that this page began with, as its server named it; its name holds a hash of what is in it. */
function ownScript(): string | null {
  return document.querySelector("script[type=module][src]")?.getAttribute("src") ?? null;
}

/** Whether the server now has another page than this one. A server that cannot be asked has none. */
export async function isNewer(): Promise<boolean> {
  const own = ownScript();
  if (own === null) return false;
  try {
    const response = await fetch("/", { headers: { accept: "text/html" }, cache: "no-store" });
    return response.ok && !(await response.text()).includes(own);
  } catch {
    return false;
  }
}
