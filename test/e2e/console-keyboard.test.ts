/** The whole story by the keyboard alone; and sessions that end while somebody works. */
import { strict as assert } from "node:assert";
import { after, before, describe, test } from "node:test";
import type { Locator, Page } from "playwright-core";
import { skipWithoutBrowser, type TestBrowser } from "../clients/browser.ts";
import { ConsolePages } from "../clients/console.ts";
import { ConsoleDesk } from "../clients/console-desk.ts";
import { sluicegate } from "../clients/gateway.ts";
import { completed, makeCached, until } from "./volume-kit.ts";

const TABS_MAX = 120;

describe("the console by keyboard", { skip: skipWithoutBrowser }, () => {
  const desk = new ConsoleDesk();
  const { gateway } = desk;
  let browser: TestBrowser;

  before(async () => {
    await gateway.start();
    browser = await desk.browse();
  });
  after(() => desk.close());

  test("a volume is made, a snapshot taken, restored, and both deleted", async () => {
    const { page, context } = await browser.open();
    const ui = new ConsolePages(page, gateway);
    const { keyboard } = page;
    const { accessKeyId, secretAccessKey } = gateway.botoSettings();

    await page.goto(`${gateway.endpoint}/console/`);
    await focused(page.getByLabel("Access key ID"));
    await keyboard.type(accessKeyId);
    await keyboard.press("Tab");
    await keyboard.type(secretAccessKey);
    await keyboard.press("Enter");
    await ui.heading("Overview");

    await enter(
      page,
      page.getByRole("navigation").getByRole("link", { name: "Volumes", exact: true }).first(),
    );
    await enter(page, page.getByRole("button", { name: "Create your first volume" }));
    await createVolume(page, "mail", "1");
    await ui.heading("mail");

    const create = page.getByRole("button", { name: "Create snapshot" }).first();
    await enter(page, create);
    await focused(ui.dialog.getByLabel("Description"));
    await keyboard.press("Escape");
    // What had the focus before a dialog has it again.
    await focused(create);
    await keyboard.press("Enter");
    await focused(ui.dialog.getByLabel("Description"));
    await keyboard.type("By keyboard");
    await keyboard.press("Enter");
    await page.getByText("The snapshot is taken").first().waitFor();
    const { Snapshots } = await gateway.boto.ec2("describe_snapshots");
    await completed(gateway, Snapshots[0].SnapshotId);

    await enter(
      page,
      page.getByRole("navigation").getByRole("link", { name: "Snapshots", exact: true }).first(),
    );
    await page.getByRole("row", { name: /By keyboard.*Completed/ }).waitFor();
    // A list is one stop; inside it the arrows go from cell to cell.
    await tabTo(page, page.getByRole("checkbox", { name: "Choose all on this page" }));
    await keyboard.press("ArrowDown");
    await focused(page.getByRole("checkbox", { name: /Choose By keyboard/ }));
    await keyboard.press("ArrowRight");
    await focused(page.getByRole("link", { name: "By keyboard" }));
    await keyboard.press("Enter");
    await ui.heading("By keyboard");

    await enter(page, page.getByRole("button", { name: "Restore" }));
    await createVolume(page, "restored", undefined);
    await ui.heading("restored");

    await enter(page, page.getByRole("button", { name: "Actions" }).first());
    await choose(page, "Delete");
    await ui.dialog.waitFor();
    await keyboard.press("Escape");
    await focused(page.getByRole("button", { name: "Actions" }).first());
    await keyboard.press("Enter");
    await choose(page, "Delete");
    await tabTo(page, ui.dialog.getByLabel("To confirm, type restored"));
    await keyboard.type("restored");
    await keyboard.press("Enter");
    await page.getByText("restored is deleted").first().waitFor();

    await enter(
      page,
      page.getByRole("navigation").getByRole("link", { name: "Snapshots", exact: true }).first(),
    );
    await page.getByRole("row", { name: /By keyboard/ }).waitFor();
    await tabTo(page, page.getByRole("checkbox", { name: "Choose all on this page" }));
    await keyboard.press("ArrowDown");
    await keyboard.press("Space");
    await enter(page, page.getByRole("button", { name: "Actions" }).first(), "Shift+Tab");
    await choose(page, "Delete");
    await enter(page, ui.dialog.getByRole("button", { name: "Delete", exact: true }));
    await page.getByRole("heading", { name: "No snapshots yet" }).waitFor();
    const left = await gateway.boto.gateway("list_volumes");
    assert.equal(left.VolumeInfos.length, 1);
    await context.close();
  });

  test("what happens by itself is told to who can't see it", async () => {
    await makeCached(gateway, "watched");
    const { page, context } = await browser.open();
    const ui = new ConsolePages(page, gateway);
    await ui.signIn();
    await page.goto(`${gateway.endpoint}/console/volumes`);
    await page.getByRole("radio", { name: "Choose watched" }).check({ force: true });
    await page.getByRole("button", { name: "Create snapshot" }).click();
    await ui.dialog.getByLabel("Description").fill("Told");
    await ui.dialog.getByRole("button", { name: "Create snapshot" }).click();
    await page.locator("[aria-live]", { hasText: "The snapshot Told is in the bucket" }).first().waitFor({
      state: "attached",
    });
    await context.close();
  });

  test("a session that ends over a form: one signs in again, and nothing is lost", async () => {
    const { page, context } = await browser.open();
    const ui = new ConsolePages(page, gateway);
    await page.clock.install();
    await ui.signIn();
    await page.goto(`${gateway.endpoint}/console/volumes`);
    await page.getByRole("radio", { name: "Choose watched" }).check({ force: true });
    await page.getByRole("button", { name: "Create snapshot" }).click();
    await page.getByLabel("Description").fill("Written before the session ended");
    await page.clock.fastForward("12:00:01");
    const again = page.getByRole("dialog", { name: "The session has ended" });
    await again.waitFor();
    assert.equal(await page.evaluate("sessionStorage.length"), 0);
    const { accessKeyId, secretAccessKey } = gateway.botoSettings();
    await again.getByLabel("Access key ID").fill(accessKeyId);
    await again.getByLabel("Secret access key").fill(secretAccessKey);
    await again.getByRole("button", { name: "Sign in again" }).click();
    await again.waitFor({ state: "detached" });
    assert.equal(await page.getByLabel("Description").inputValue(), "Written before the session ended");
    await ui.dialog.getByRole("button", { name: "Create snapshot" }).click();
    await page.getByText("The snapshot is taken").first().waitFor();
    await context.close();
  });

  test("a key that is taken away ends the session, and another one begins anew", async () => {
    const made = sluicegate("key", "create", "leaver", "--data", gateway.dataDir);
    assert.equal(made.status, 0, made.stderr);
    const { page, context } = await browser.open();
    await page.goto(`${gateway.endpoint}/console/`);
    await page.getByLabel("Access key ID").fill(made.stdout);
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    assert.equal(sluicegate("key", "delete", "leaver", "--data", gateway.dataDir).status, 0);
    await page.getByRole("link", { name: "Vault", exact: true }).click();
    const again = page.getByRole("dialog", { name: "The session has ended" });
    await again.waitFor();
    await again.getByRole("button", { name: "Sign in again" }).click();
    await again.getByText("Enter the access key ID.").waitFor();
    await again.getByRole("button", { name: "Leave" }).click();
    await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
    await context.close();
  });

  /** Fills in the wizard. */
  async function createVolume(page: Page, name: string, sizeGib: string | undefined): Promise<void> {
    const next = page.getByRole("button", { name: "Next", exact: true });
    await page.getByRole("heading", { name: "Kind and content", level: 1 }).waitFor();
    await enter(page, next);
    await page.getByRole("heading", { name: "Size and name", level: 1 }).waitFor();
    if (sizeGib !== undefined) {
      await tabTo(page, page.getByLabel("Size in GiB"));
      await page.keyboard.type(sizeGib);
    }
    await tabTo(page, page.getByLabel("Name", { exact: true }));
    await page.keyboard.type(name);
    await enter(page, next);
    await page.getByRole("heading", { name: "Review and create", level: 1 }).waitFor();
    await enter(page, page.getByRole("button", { name: "Create volume" }));
  }
});

function hasFocus(target: Locator): Promise<boolean> {
  return target.evaluate((element) => element === element.ownerDocument.activeElement);
}

/** Resolves when it has the focus, where it gets it by itself. */
async function focused(target: Locator): Promise<void> {
  await target.waitFor();
  await until("the focus", async () => ((await hasFocus(target)) ? true : undefined));
}

/** Presses Tab until the target has the focus. */
async function tabTo(page: Page, target: Locator, key: "Tab" | "Shift+Tab" = "Tab"): Promise<void> {
  await target.waitFor();
  for (let i = 0; i < TABS_MAX; i++) {
    if (await hasFocus(target)) return;
    await page.keyboard.press(key);
  }
  assert.fail(`${target} can't be reached by ${key}`);
}

async function enter(page: Page, target: Locator, key: "Tab" | "Shift+Tab" = "Tab"): Promise<void> {
  await tabTo(page, target, key);
  await page.keyboard.press("Enter");
}

/** In an open menu: the arrows to the item, and Enter. */
async function choose(page: Page, name: string): Promise<void> {
  const item = page.getByRole("menuitem", { name, exact: true });
  await item.waitFor();
  for (let i = 0; i < TABS_MAX && !(await hasFocus(item)); i++) await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
}
