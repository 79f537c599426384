/** The pages by path. Each is a bundle of its own, loaded when it is first opened. */
import { createBrowserRouter, type RouteObject } from "react-router";
import { Layout } from "./layout.tsx";
import { PageProblem } from "./pages/page-problem.tsx";

const pages: RouteObject[] = [
  { index: true, lazy: async () => ({ Component: (await import("./pages/overview.tsx")).Overview }) },
  { path: "volumes", lazy: async () => ({ Component: (await import("./pages/volumes.tsx")).Volumes }) },
  {
    path: "volumes/create",
    lazy: async () => ({ Component: (await import("./pages/create-volume.tsx")).CreateVolume }),
  },
  {
    path: "volumes/:volumeId",
    lazy: async () => ({ Component: (await import("./pages/volume-details.tsx")).VolumeDetails }),
  },
  { path: "snapshots", lazy: async () => ({ Component: (await import("./pages/snapshots.tsx")).Snapshots }) },
  {
    path: "snapshots/:snapshotId",
    lazy: async () => ({ Component: (await import("./pages/snapshot-details.tsx")).SnapshotDetails }),
  },
  { path: "policies", lazy: async () => ({ Component: (await import("./pages/policies.tsx")).Policies }) },
  { path: "gateways", lazy: async () => ({ Component: (await import("./pages/gateways.tsx")).Gateways }) },
  { path: "vault", lazy: async () => ({ Component: (await import("./pages/vault.tsx")).Vault }) },
  { path: "activity", lazy: async () => ({ Component: (await import("./pages/activity.tsx")).ActivityLog }) },
  { path: "settings", lazy: async () => ({ Component: (await import("./pages/settings.tsx")).Settings }) },
  { path: "*", lazy: async () => ({ Component: (await import("./pages/not-found.tsx")).NotFound }) },
];

/** While the first page's bundle is on its way. */
function Nothing(): null {
  return null;
}

export function makeRouter(): ReturnType<typeof createBrowserRouter> {
  return createBrowserRouter(
    [
      {
        element: <Layout />,
        HydrateFallback: Nothing,
        children: [{ errorElement: <PageProblem />, HydrateFallback: Nothing, children: pages }],
      },
    ],
    { basename: import.meta.env.BASE_URL.replace(/\/$/, "") },
  );
}
