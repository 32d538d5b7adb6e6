/** Where this tab keeps workspace keys. The browser forgets them with the tab, and sends them nowhere. */
const STORED = "towpath-workspace-keys";

/** A `<meta>` with this name says that `towpath view` serves the page. Its content is the address of the profile's keys. */
const VIEW_META = 'meta[name="towpath-view"]';

/** The address of the keys of `towpath view`. Null: the control plane serves this page. */
export function viewKeysUrl(): string | null {
  return document.querySelector(VIEW_META)?.getAttribute("content") ?? null;
}

function textsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((one) => typeof one === "string") : [];
}

/** The keys that the reader loaded into this tab, the one that seals first. */
export function loadedKeys(): readonly string[] {
  try {
    return textsOf(JSON.parse(sessionStorage.getItem(STORED) ?? "[]"));
  } catch {
    return [];
  }
}

/** Loads a key in front of the others. The caller has checked it. */
export function loadKey(key: string): void {
  const others = loadedKeys().filter((one) => one !== key);
  sessionStorage.setItem(STORED, JSON.stringify([key, ...others]));
}

/** Removes all keys from this tab. */
export function forgetKeys(): void {
  sessionStorage.removeItem(STORED);
}

async function fetchedKeys(url: string): Promise<readonly string[]> {
  const response = await fetch(url, { cache: "no-store" });
  return response.ok ? textsOf(await response.json()) : [];
}

let fetched: Promise<readonly string[]> | undefined;

/** The keys with which this page seals and opens: those of this tab, else those of the profile of `towpath view`. */
export async function workspaceKeys(): Promise<readonly string[]> {
  const own = loadedKeys();
  const url = viewKeysUrl();
  if (own.length > 0 || url === null) return own;
  fetched ??= fetchedKeys(url);
  fetched.catch(() => {
    fetched = undefined;
  });
  return await fetched;
}

/** Whether this page has keys, of this tab or of the profile of `towpath view`. */
export function canRead(): boolean {
  return viewKeysUrl() !== null || loadedKeys().length > 0;
}

/** Whether this page can seal and open. A browser does so only over TLS and on the reader's own machine. */
export function canUnseal(): boolean {
  return globalThis.crypto?.subtle !== undefined;
}
