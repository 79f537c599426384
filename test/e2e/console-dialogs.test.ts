/** Every dialog of the console: whether it can be used by everybody, in the light and in the dark, and how it closes. */
import { strict as assert } from "node:assert";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { seriousFaults } from "../clients/axe.ts";
import { DESKTOP, PHONE, skipWithoutBrowser, type TestBrowser } from "../clients/browser.ts";
import { ConsolePages } from "../clients/console.ts";
import { ConsoleDesk } from "../clients/console-desk.ts";
import { completed, createSnapshot, makeCached, until } from "./volume-kit.ts";

/** A button, or the button of a menu and what is chosen from it. */
type Way = readonly [button: string | RegExp, item?: string];

describe("the dialogs of the console", { skip: skipWithoutBrowser }, () => {
  const desk = new ConsoleDesk();
  const { gateway } = desk;
  const dialogs: [path: string, ...ways: Way[]][] = [];
  let browser: TestBrowser;

  before(async () => {
    await gateway.start();
    const arn = await makeCached(gateway, "mail");
    const snapshotId = await createSnapshot(gateway, arn);
    await completed(gateway, snapshotId);
    const volumePath = `/volumes/${arn.split("/volume/")[1]?.toLowerCase() ?? ""}`;
    dialogs.push(
      [
        `${volumePath}?tab=attach`,
        ["Create snapshot"],
        ["Actions", "Make larger"],
        ["Actions", "Edit tags"],
        ["Actions", "Detach"],
        ["Actions", "Delete"],
      ],
      [`${volumePath}?tab=schedules`, ["Add a schedule"]],
      [`${volumePath}?tab=chap`, ["Add a server"]],
      [`${volumePath}?tab=recovery-points`, ["How often"], ["Restore as of a time"]],
      [
        `/snapshots/${snapshotId}`,
        ["Actions", "Compare"],
        ["Actions", "Export"],
        ["Actions", "Lock"],
        ["Actions", "Delete"],
      ],
      ["/policies", [/^Create policy$/]],
      [
        "/gateways",
        ["Add a disk"],
        ["Actions for default-stored", "Edit name and time zone"],
        ["Actions for default-stored", "Edit the maintenance window"],
        ["Actions for default-stored", "Shut down"],
        ["Actions for default-stored", "Delete"],
      ],
      ["/vault", ["Verify now"], ["Collect now"]],
      ["/settings", ["Over the week: the limits of default-cached"], ["Create a key"]],
    );
    browser = await desk.browse();
  });
  after(() => desk.close());

  for (const [name, options] of [
    ["desktop, dark", { viewport: DESKTOP, colorScheme: "dark" }],
    ["phone, light", { viewport: PHONE, colorScheme: "light" }],
  ] as const) {
    test(`${name}: no serious fault of accessibility; Escape closes them, and the focus goes back`, async () => {
      const { page, context } = await browser.open(options);
      const ui = new ConsolePages(page, gateway);
      await ui.signIn();
      const faults: string[] = [];
      for (const [path, ...ways] of dialogs) {
        await page.goto(`${gateway.endpoint}/console${path}`);
        for (const [button, item] of ways) {
          const opener = page.getByRole("button", { name: button, exact: true }).first();
          await opener.click();
          if (item !== undefined) await page.getByRole("menuitem", { name: item, exact: true }).click();
          await ui.dialog.waitFor();
          for (const fault of await seriousFaults(page)) faults.push(`${path} ${item ?? button}: ${fault}`);
          if (await isTooWide(page)) faults.push(`${path} ${item ?? button}: wider than the window`);
          await page.keyboard.press("Escape");
          await ui.dialog.waitFor({ state: "detached" });
          await until(`the focus back from ${path} ${item ?? button}`, async () =>
            (await opener.evaluate((each) => each === each.ownerDocument.activeElement)) ? true : undefined,
          );
        }
      }
      assert.deepEqual(faults, []);
      await context.close();
    });
  }
});

async function isTooWide(page: Page): Promise<boolean> {
  return (await page.evaluate("document.documentElement.scrollWidth > innerWidth")) as boolean;
}
