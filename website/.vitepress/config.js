// The documentation's site: its navigation, and how it is searched.
import { readFileSync } from "node:fs";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const pages = (...all) => all.map(([text, link]) => ({ text, link }));

/** @type {import("vitepress").UserConfig} */
const config = {
  title: "Sluicegate",
  description: "A volume gateway for your own machines: iSCSI volumes, with snapshots in your own S3 bucket",
  srcDir: ".stage",
  outDir: "dist",
  cacheDir: ".stage/.cache",
  // Files that are no pages; the build itself has copied them.
  ignoreDeadLinks: [/^\/files\//],
  head: [["meta", { name: "referrer", content: "no-referrer" }]],
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    nav: [
      { text: "Quick start", link: "/quick-start" },
      { text: "Concepts", link: "/concepts" },
      { text: "How to", link: "/how-to/console", activeMatch: "^/how-to/" },
      { text: "Reference", link: "/reference/cli", activeMatch: "^/reference/" },
      { text: version, link: "/changelog" },
    ],
    sidebar: [
      {
        text: "Begin",
        items: pages(["What it is", "/about"], ["Quick start", "/quick-start"], ["Concepts", "/concepts"]),
      },
      {
        text: "Attach volumes",
        items: pages(
          ["Linux", "/how-to/linux"],
          ["Windows", "/how-to/windows"],
          ["Proxmox VE", "/how-to/proxmox"],
          ["VMware", "/how-to/vmware"],
          ["Kubernetes", "/how-to/kubernetes"],
        ),
      },
      {
        text: "How to",
        items: pages(
          ["Use the console", "/how-to/console"],
          ["Choose a bucket", "/how-to/buckets"],
          ["Run it as a service", "/how-to/service"],
          ["Terraform and AWS's tools", "/how-to/terraform"],
          ["Keep snapshots", "/how-to/snapshots"],
          ["Watch it", "/how-to/monitoring"],
          ["Rehearse a disaster", "/how-to/disaster-recovery"],
        ),
      },
      {
        text: "Operations",
        items: pages(
          ["Sizing", "/operations/sizing"],
          ["Upgrading", "/operations/upgrading"],
          ["Keys", "/operations/keys"],
          ["Troubleshooting by symptom", "/operations/troubleshooting"],
          ["Security", "/security"],
        ),
      },
      {
        text: "Reference",
        items: pages(
          ["Command line", "/reference/cli"],
          ["Settings", "/reference/settings"],
          ["Metrics and events", "/reference/metrics"],
          ["API coverage", "/api-coverage"],
          ["Operations of our own", "/reference/own-api"],
          ["Statuses", "/reference/statuses"],
          ["iSCSI", "/iscsi"],
          ["The vault's format", "/vault-format"],
        ),
      },
      {
        text: "Design",
        items: pages(
          ["Architecture", "/architecture"],
          ["The volume engine", "/volume-engine"],
          ["Performance", "/performance"],
          ["Working on it", "/contributing"],
          ["Changelog", "/changelog"],
          ["Reporting a vulnerability", "/reporting"],
        ),
      },
    ],
    footer: { message: "Apache-2.0" },
  },
};

// biome-ignore lint/style/noDefaultExport: VitePress takes the configuration as one.
export default config;
