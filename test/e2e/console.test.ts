/** The console in a real browser, on the real gateway, with a real initiator beside it. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { skipWithoutBrowser, TestBrowser } from "../clients/browser.ts";
import { ConsolePages } from "../clients/console.ts";
import { GatewayProcess } from "../clients/gateway.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";

const SIZES = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];

describe("the console", { skip: skipWithoutBrowser }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-console-"));
  const gateway = new GatewayProcess(join(folder, "data"), SIZES);
  let browser: TestBrowser;
  let page: Page;
  let ui: ConsolePages;
  let problems: string[];

  let isBroken = false;

  /** One step of the story: none makes sense after one that went wrong. */
  function step(name: string, run: () => Promise<void>): void {
    test(name, async () => {
      assert(!isBroken, "an earlier step went wrong");
      isBroken = true;
      await run();
      isBroken = false;
    });
  }

  before(async () => {
    await gateway.start();
    browser = await TestBrowser.start();
    ({ page, problems } = await browser.open());
    ui = new ConsolePages(page, gateway);
  });
  after(async () => {
    await browser?.close();
    await gateway.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  step("signing in: what is missing or wrong is said; a session is made, and no secret stays", async () => {
    await page.goto(`${gateway.endpoint}/`);
    await page.getByRole("button", { name: "Sign in" }).click();
    await ui.says("Enter the access key ID.");
    await ui.says("Enter the secret access key.");
    await page.getByLabel("Access key ID").fill("AKIAAAAAAAAAAAAAAAAA");
    await page.getByLabel("Secret access key").fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await ui.says("The security token included in the request is invalid.");
    problems.length = 0;
    await ui.signIn();
    const { secretAccessKey } = gateway.botoSettings();
    const stored = await page.evaluate("JSON.stringify([{ ...localStorage }, document.cookie])");
    assert.equal(stored, '[{},""]');
    const session = String(await page.evaluate("JSON.stringify({ ...sessionStorage })"));
    assert(!session.includes(secretAccessKey), "the access key's secret is not kept");
    await page.reload();
    await ui.heading("Overview");
  });

  step("a cached volume by the wizard, which refuses what can't be", async () => {
    await ui.navigate("Volumes");
    await page.getByRole("heading", { name: "No volumes yet" }).waitFor();
    await page.getByRole("button", { name: "Create your first volume" }).click();
    await ui.next();
    await ui.next();
    await ui.says("Enter a size.");
    await ui.says("Enter a name.");
    await page.getByLabel("Size in GiB").fill("40000");
    await ui.says("At most 32 TiB.");
    await page.getByLabel("Size in GiB").fill("1.5");
    await ui.says("Enter a whole number of GiB.");
    await page.getByLabel("Size in GiB").fill("1");
    await page.getByLabel("Name", { exact: true }).fill("Data Base");
    await ui.says("Small letters, digits, dots and hyphens only.");
    await page.getByLabel("Name", { exact: true }).fill("database");
    await ui.says("iqn.1997-05.com.amazon:database");
    await ui.next();
    await page.getByRole("button", { name: "Create volume" }).click();
    await ui.heading("database");
    await ui.says(`iscsiadm -m node -T iqn.1997-05.com.amazon:database -p ${gateway.portal} --login`);
    await ui.summaryHas("Available");
  });

  step("a snapshot of what an initiator wrote, followed until it is completed", async () => {
    await qemuIo(volumeUrl(gateway.portal, "database"), "write -P 7 0 16M", "write -P 9 512M 8M", "flush");
    await page.getByRole("button", { name: "Create snapshot" }).first().click();
    await ui.dialog.getByRole("button", { name: "Create snapshot" }).click();
    await ui.says("Say what the snapshot is");
    await ui.dialog.getByLabel("Description").fill("x".repeat(256));
    await ui.says("At most 255 characters.");
    await ui.dialog.getByLabel("Description").fill("Before the upgrade to 12.1");
    await ui.dialog.getByRole("button", { name: "Create snapshot" }).click();
    await ui.says("The snapshot is taken");
    await ui.navigate("Snapshots");
    const row = page.getByRole("row", { name: /Before the upgrade to 12\.1/ });
    // The page asks again by itself: nobody reloads it.
    await row.getByText("Completed").waitFor();
    await row.getByText("24 MiB").waitFor();
  });

  step("its details, tags and lineage", async () => {
    await page.getByRole("link", { name: "Before the upgrade to 12.1" }).click();
    await ui.heading("Before the upgrade to 12.1");
    await ui.says("(this one)");
    await page.getByRole("button", { name: "Edit tags" }).click();
    await ui.dialog.getByRole("button", { name: "Add a tag" }).click();
    await ui.dialog.getByRole("textbox", { name: "Key" }).fill("aws:owner");
    await ui.says("Keys that begin with aws: are reserved.");
    await ui.dialog.getByRole("textbox", { name: "Key" }).fill("owner");
    await ui.dialog.getByRole("textbox", { name: "Value" }).fill("ops team");
    await ui.dialog.getByRole("button", { name: "Save" }).click();
    await page.getByRole("row", { name: /owner.*ops team/ }).waitFor();
    const { Snapshots } = await gateway.boto.ec2("describe_snapshots");
    assert.deepEqual(Snapshots[0].Tags, [{ Key: "owner", Value: "ops team" }]);
  });

  step("restored as a new volume, which holds the same", async () => {
    await page.getByRole("button", { name: "Restore" }).click();
    await ui.next();
    assert.equal(await page.getByLabel("Size in GiB").inputValue(), "1");
    await page.getByLabel("Name", { exact: true }).fill("database");
    await ui.says("Another volume has this name.");
    await page.getByLabel("Name", { exact: true }).fill("restored");
    await ui.next();
    await page.getByRole("button", { name: "Create volume" }).click();
    await ui.heading("restored");
    await qemuIo(
      volumeUrl(gateway.portal, "restored"),
      "read -P 7 0 16M",
      "read -P 9 512M 8M",
      "read -P 0 16M 4M",
    );
  });

  step("a volume and its snapshot are deleted after what is lost was said", async () => {
    await ui.action("Delete");
    await ui.says("everything written to this volume of 1 GiB");
    const confirm = ui.dialog.getByRole("button", { name: "Delete", exact: true });
    assert(await confirm.isDisabled());
    await ui.dialog.getByLabel("To confirm, type restored").fill("restored");
    await confirm.click();
    await ui.says("restored is deleted");
    await ui.navigate("Snapshots");
    await page.getByRole("checkbox", { name: /Choose Before the upgrade/ }).check({ force: true });
    await ui.action("Delete");
    await ui.says("Before the upgrade to 12.1");
    await ui.dialog.getByRole("button", { name: "Delete", exact: true }).click();
    await page.getByRole("heading", { name: "No snapshots yet" }).waitFor();
    const { Snapshots } = await gateway.boto.ec2("describe_snapshots");
    assert.deepEqual(Snapshots, []);
    const { VolumeInfos } = await gateway.boto.gateway("list_volumes");
    assert.equal(VolumeInfos.length, 1);
  });

  step("no page has logged an error, and nothing was refused by the policy", async () => {
    assert.deepEqual(problems, []);
  });
});
