/** The path of this page's script. It contains a hash of the content. */
function ownScript(): string | null {
  return document.querySelector("script[type=module][src]")?.getAttribute("src") ?? null;
}

/** Whether the server has another build than this page. False if the server cannot be reached. */
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
