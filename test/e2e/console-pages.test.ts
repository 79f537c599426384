/** Every page of the console, with something on it: whether it can be used by everybody, at any width, in the dark. */
import { strict as assert } from "node:assert";
import { after, before, describe, test } from "node:test";
import { seriousFaults } from "../clients/axe.ts";
import { DESKTOP, PHONE, skipWithoutBrowser, type TestBrowser } from "../clients/browser.ts";
import { ConsolePages } from "../clients/console.ts";
import { ConsoleDesk } from "../clients/console-desk.ts";
import { completed, createSnapshot, makeCached, makeStored } from "./volume-kit.ts";

describe("the pages of the console", { skip: skipWithoutBrowser }, () => {
  const desk = new ConsoleDesk();
  const { gateway } = desk;
  const paths: [path: string, title: string][] = [];
  let browser: TestBrowser;

  before(async () => {
    await gateway.start();
    const arn = await makeCached(gateway, "mail");
    await makeStored(gateway, "files");
    const snapshotId = await createSnapshot(gateway, arn);
    await completed(gateway, snapshotId);
    const volumePath = `/volumes/${arn.split("/volume/")[1]?.toLowerCase() ?? ""}`;
    paths.push(
      ["/", "Overview"],
      ["/volumes", "Volumes"],
      ["/volumes/create", "Kind and content"],
      ...["snapshots", "monitoring", "schedules", "recovery-points", "attach", "chap", "tags"].map(
        (tab): [string, string] => [`${volumePath}?tab=${tab}`, "mail"],
      ),
      ["/snapshots", "Snapshots"],
      [`/snapshots/${snapshotId}`, "a test"],
      ["/policies", "Policies"],
      ["/gateways", "Gateways and disks"],
      ["/vault", "Vault"],
      ["/activity", "Activity"],
      ["/settings", "Settings"],
      ["/no-such-page", ""],
    );
    browser = await desk.browse();
  });
  after(() => desk.close());

  for (const [name, options] of [
    ["desktop, light", { viewport: DESKTOP, colorScheme: "light" }],
    ["phone, dark", { viewport: PHONE, colorScheme: "dark" }],
  ] as const) {
    test(`${name}: no serious fault of accessibility, nothing wider than the window`, async () => {
      const { page, context, problems } = await browser.open(options);
      await page.goto(`${gateway.endpoint}/console/`);
      await page.getByLabel("Access key ID").waitFor();
      const faults = (await seriousFaults(page)).map((fault) => `sign in: ${fault}`);
      await new ConsolePages(page, gateway).signIn();
      for (const [path, title] of paths) {
        await page.goto(`${gateway.endpoint}/console${path}`);
        const heading = page.getByRole("heading", { level: 1 });
        await (title === ""
          ? page.getByText("There is no such page")
          : heading.filter({ hasText: title })
        ).waitFor();
        await page.waitForLoadState("networkidle");
        for (const fault of await seriousFaults(page)) faults.push(`${path}: ${fault}`);
        const widths = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]");
        const [content = 0, window = 0] = widths as number[];
        if (content > window) faults.push(`${path}: ${content} pixels wide in a window of ${window}`);
      }
      assert.deepEqual(faults, []);
      assert.deepEqual(problems, []);
      await context.close();
    });
  }
});
