import AppLayout from "@cloudscape-design/components/app-layout";
import BreadcrumbGroup from "@cloudscape-design/components/breadcrumb-group";
import SideNavigation, { type SideNavigationProps } from "@cloudscape-design/components/side-navigation";
import TopNavigation from "@cloudscape-design/components/top-navigation";
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from "react";
import { Outlet, useLocation } from "react-router";
import { Announcer } from "./parts/announcer.tsx";
import { useFollow } from "./parts/links.tsx";
import { chooseMode, chosenMode } from "./parts/mode.ts";
import { NoticesBar } from "./parts/notices.tsx";
import { useSignedIn } from "./session/context.tsx";

const MOON = (
  <svg viewBox="0 0 16 16" focusable="false" aria-hidden="true">
    <path d="M13.5 10A6 6 0 0 1 6 2.5 6 6 0 1 0 13.5 10Z" />
  </svg>
);
const SUN = (
  <svg viewBox="0 0 16 16" focusable="false" aria-hidden="true">
    <circle cx="8" cy="8" r="3" />
    <path d="M8 1v2M8 13v2M1 8h2M13 8h2M3 3l1.4 1.4M11.6 11.6 13 13M3 13l1.4-1.4M11.6 4.4 13 3" />
  </svg>
);

const BASE = import.meta.env.BASE_URL.replace(/\/$/, "");

const ITEMS: SideNavigationProps.Item[] = [
  { type: "link", text: "Overview", href: `${BASE}/` },
  { type: "link", text: "Volumes", href: `${BASE}/volumes` },
  { type: "link", text: "Snapshots", href: `${BASE}/snapshots` },
  { type: "link", text: "Policies", href: `${BASE}/policies` },
  { type: "link", text: "Gateways and disks", href: `${BASE}/gateways` },
  { type: "link", text: "Vault", href: `${BASE}/vault` },
  { type: "link", text: "Activity", href: `${BASE}/activity` },
  { type: "divider" },
  { type: "link", text: "Settings", href: `${BASE}/settings` },
];

/** A step on the way to the page: its words, and its path where it is not the page itself. */
export interface Crumb {
  readonly text: string;
  readonly to?: string;
}

const CrumbsContext = createContext<(crumbs: readonly Crumb[]) => void>(() => {});

/** Says where the page is: in the breadcrumbs and in the title of the tab. */
export function usePlace(...crumbs: Crumb[]): void {
  const set = useContext(CrumbsContext);
  const key = JSON.stringify(crumbs);
  useEffect(() => {
    const parsed = JSON.parse(key) as Crumb[];
    set(parsed);
    const title = parsed.at(-1)?.text;
    document.title = title === undefined ? "Sluicegate" : `${title} – Sluicegate`;
  }, [key, set]);
}

/** What stands around every page. */
export function Layout(): ReactNode {
  const { session, signOut } = useSignedIn();
  const [mode, setMode] = useState(chosenMode);
  const [isNavigationOpen, setNavigationOpen] = useState(() => matchMedia("(min-width: 1000px)").matches);
  const [crumbs, setCrumbs] = useState<readonly Crumb[]>([]);
  const follow = useFollow();
  const { pathname } = useLocation();
  const active = useMemo(() => {
    const section = pathname.split("/")[1] ?? "";
    return `${BASE}/${section}`;
  }, [pathname]);

  function toggleMode(): void {
    const next = mode === "dark" ? "light" : "dark";
    chooseMode(next);
    setMode(next);
  }

  return (
    <CrumbsContext.Provider value={setCrumbs}>
      <div id="top-bar" className="top-bar">
        <TopNavigation
          identity={{
            href: `${BASE}/`,
            title: "Sluicegate",
            logo: { src: `${BASE}/icon.svg`, alt: "" },
            onFollow: follow,
          }}
          utilities={[
            {
              type: "button",
              iconSvg: mode === "dark" ? SUN : MOON,
              text: mode === "dark" ? "Light mode" : "Dark mode",
              ariaLabel: mode === "dark" ? "Light mode" : "Dark mode",
              onClick: toggleMode,
            },
            {
              type: "menu-dropdown",
              text: session.signedInAs,
              description: session.role === "admin" ? "Administrator" : "Read only",
              iconName: "user-profile",
              items: [{ id: "sign-out", text: "Sign out" }],
              onItemClick: () => signOut(),
            },
          ]}
        />
      </div>
      <AppLayout
        headerSelector="#top-bar"
        toolsHide
        navigationOpen={isNavigationOpen}
        onNavigationChange={({ detail }) => {
          // While a page is being laid out for the first time, the component may close it by itself.
          if (detail.open || navigator.userActivation.hasBeenActive) setNavigationOpen(detail.open);
        }}
        navigation={
          <SideNavigation
            activeHref={active}
            items={ITEMS}
            onFollow={(event) => {
              follow(event);
              if (matchMedia("(max-width: 688px)").matches) setNavigationOpen(false);
            }}
          />
        }
        breadcrumbs={
          crumbs.length > 0 && (
            <BreadcrumbGroup
              items={[
                { text: "Sluicegate", href: `${BASE}/` },
                ...crumbs.map(({ text, to }) => ({ text, href: to === undefined ? "#" : BASE + to })),
              ]}
              onFollow={follow}
            />
          )
        }
        notifications={<NoticesBar />}
        content={<Outlet />}
      />
      <Announcer />
    </CrumbsContext.Provider>
  );
}
