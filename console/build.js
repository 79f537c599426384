// Builds the console into dist/console: bundles, and a packed copy of each beside it. Runs under Node 24.
//
//   node bin/node24.js console/build.js           once
//   node bin/node24.js console/build.js --dev     a development server; SLUICEGATE_API names the gateway behind it
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { build, createServer } from "vite";

const root = dirname(fileURLToPath(import.meta.url));
const outDir = join(root, "..", "dist", "console");
const PACKED = /\.(css|html|js|svg)$/;
const api = process.env.SLUICEGATE_API ?? "http://127.0.0.1:9060";

/** @type {import("vite").InlineConfig} */
const config = {
  root,
  base: "/console/",
  configFile: false,
  logLevel: "warn",
  plugins: [react()],
  build: {
    outDir,
    emptyOutDir: true,
    target: "es2022",
    // Inline scripts and styles are not allowed by the policy that the gateway sends.
    modulePreload: { polyfill: false },
    assetsInlineLimit: (file) => (file.endsWith(".svg") ? false : undefined),
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            {
              name: "design-system-charts",
              test: /@cloudscape-design\/components\/.*chart|d3-shape/,
              priority: 3,
            },
            {
              name: "design-system",
              test: /node_modules\/(@cloudscape-design|@formatjs|intl-messageformat|@dnd-kit|react-transition-group|date-fns|mnth|weekstart)\//,
              priority: 2,
            },
            {
              name: "react",
              test: /node_modules\/(react|react-dom|react-router|scheduler|@tanstack)\//,
              priority: 1,
            },
            { name: "aws-sdk", test: /node_modules\/(@aws-sdk|@smithy|@aws-crypto)\//, priority: 1 },
          ],
        },
      },
    },
  },
};

if (process.argv.includes("--dev")) {
  const proxy = { target: api, bypass: (request) => (request.method === "POST" ? undefined : request.url) };
  const server = await createServer({
    ...config,
    server: { port: 9070, proxy: { "^/$": proxy, "/console/settings.json": { target: api } } },
  });
  await server.listen();
  server.printUrls();
} else {
  rmSync(outDir, { recursive: true, force: true });
  await build(config);
  for (const item of readdirSync(outDir, { recursive: true, withFileTypes: true })) {
    if (!item.isFile() || !PACKED.test(item.name)) continue;
    const path = join(item.parentPath, item.name);
    writeFileSync(`${path}.gz`, gzipSync(readFileSync(path), { level: 9 }));
  }
}
