import { CSPProvider } from "@base-ui/react/csp-provider";
import { Link, Outlet, useNavigate } from "@tanstack/react-router";
import { Ellipsis, LucideProvider, Monitor, Moon, Search, Sun } from "lucide-react";
import { lazy, Suspense, useState } from "react";
import { useMe } from "./identity/me.ts";
import { SealedBadge } from "./identity/sealed-badge.tsx";
import { SignIn } from "./identity/sign-in.tsx";
import { useKeys } from "./kernel/keyboard.ts";
import { useConnection } from "./kernel/live/live.ts";
import { NewerBadge, StaleBadge } from "./kernel/stale.tsx";
import { setTheme, THEMES, useTheme } from "./kernel/theme.ts";
import { PAGES } from "./navigation.ts";

const Toasts = lazy(async () => ({ default: (await import("./kernel/toast.tsx")).Toasts }));
const Palette = lazy(() => import("./palette.tsx"));
const KeyHelp = lazy(() => import("./key-help.tsx"));

const RAIL_LINK =
  "flex h-8 items-center gap-2.5 rounded-md px-2 text-13 text-soft hover:bg-hover hover:text-ink aria-[current=page]:bg-accent-soft aria-[current=page]:font-medium aria-[current=page]:text-accent";
const TAB_LINK =
  "flex min-w-0 flex-1 flex-col items-center justify-center gap-0.5 text-11 text-soft aria-[current=page]:text-accent";

/** The screens in the bar of a phone. *More* opens the palette, which has the others. */
const PHONE_PAGES = PAGES.slice(0, 4);

function ThemeSwitch() {
  const theme = useTheme();
  const ThemeIcon = { system: Monitor, light: Sun, dark: Moon }[theme];
  const next = THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length] ?? "system";
  return (
    <button
      type="button"
      onClick={() => setTheme(next)}
      title={`Theme: ${theme}. Switch to ${next}.`}
      aria-label={`Theme: ${theme}. Switch to ${next}.`}
      className="rounded-md p-2 text-soft hover:bg-hover hover:text-ink"
    >
      <ThemeIcon />
    </button>
  );
}

function Brand() {
  return (
    <Link to="/" className="flex items-center gap-2 text-14 font-semibold tracking-tight">
      <img src="/favicon.svg" alt="" width="20" height="20" /> Towpath
    </Link>
  );
}

function Rail({ onSearch }: { onSearch: () => void }) {
  const me = useMe();
  return (
    <nav
      aria-label="Main"
      className="sticky top-0 hidden h-dvh w-52 shrink-0 flex-col gap-0.5 border-r border-line px-3 py-3 md:flex"
    >
      <div className="mb-3 flex h-8 items-center px-2">
        <Brand />
      </div>
      <button
        type="button"
        onClick={onSearch}
        className="mb-3 flex h-8 items-center gap-2 rounded-md border border-line bg-surface px-2 text-13 text-faint hover:border-edge"
      >
        <Search /> Go to… <kbd className="ml-auto font-sans text-11">⌘K</kbd>
      </button>
      {PAGES.map((page) => (
        <Link key={page.to} to={page.to} activeOptions={{ exact: page.to === "/" }} className={RAIL_LINK}>
          <page.icon /> {page.name}
        </Link>
      ))}
      <div className="mt-auto flex items-center gap-1 border-t border-line pt-2">
        <div className="min-w-0 flex-1 px-2 leading-4">
          <div className="truncate text-12 font-medium">{me?.workspace.name}</div>
          <div className="truncate text-11 text-faint">{me && `${me.key.name} · ${me.key.role}`}</div>
        </div>
        <ThemeSwitch />
      </div>
    </nav>
  );
}

function PhoneTop() {
  return (
    <div className="sticky top-0 z-20 flex h-12 items-center justify-between border-b border-line bg-canvas px-4 md:hidden">
      <Brand />
      <ThemeSwitch />
    </div>
  );
}

function PhoneTabs({ onMore }: { onMore: () => void }) {
  return (
    <nav
      aria-label="Main"
      className="fixed inset-x-0 bottom-0 z-20 flex h-14 border-t border-line bg-surface pb-[env(safe-area-inset-bottom)] md:hidden"
    >
      {PHONE_PAGES.map((page) => (
        <Link key={page.to} to={page.to} activeOptions={{ exact: page.to === "/" }} className={TAB_LINK}>
          <page.icon size={18} /> {page.name}
        </Link>
      ))}
      <button type="button" onClick={onMore} className={TAB_LINK}>
        <Ellipsis size={18} /> More
      </button>
    </nav>
  );
}

/** The open screen; after the session has ended, the sign-in form. */
function Screen() {
  return useConnection().state === "signed-out" ? <SignIn /> : <Outlet />;
}

/** The frame of every screen: sidebar, palette, keyboard. */
export function Layout() {
  const navigate = useNavigate();
  const [open, setOpen] = useState<"palette" | "help" | null>(null);
  const pageKeys = PAGES.map((page) => [`g ${page.key}`, () => void navigate({ to: page.to })] as const);
  useKeys({
    "mod+k": () => setOpen("palette"),
    "?": () => setOpen("help"),
    ...Object.fromEntries(pageKeys),
  });
  const close = () => setOpen(null);
  return (
    <CSPProvider disableStyleElements>
      <LucideProvider size={16} className="shrink-0">
        <div className="flex min-h-dvh flex-col md:flex-row">
          <Rail onSearch={() => setOpen("palette")} />
          <PhoneTop />
          <main className="min-w-0 flex-1 px-4 pt-4 pb-20 md:px-6 md:pt-5 md:pb-10">
            <StaleBadge />
            <NewerBadge />
            <SealedBadge />
            <Screen />
          </main>
          <PhoneTabs onMore={() => setOpen("palette")} />
        </div>
        <Suspense>
          <Toasts />
          {open === "palette" && <Palette onClose={close} />}
          {open === "help" && <KeyHelp onClose={close} />}
        </Suspense>
      </LucideProvider>
    </CSPProvider>
  );
}
