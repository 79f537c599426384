/** Policies, detached volumes, the life of gateways, bandwidth over the week and exchanged keys, in the console. */
import { strict as assert } from "node:assert";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { skipWithoutBrowser } from "../clients/browser.ts";
import type { ConsolePages } from "../clients/console.ts";
import { ConsoleDesk } from "../clients/console-desk.ts";
import { sluicegateWith } from "../clients/gateway.ts";
import { GIB, gatewayArn, makeCached, makeStored } from "./volume-kit.ts";

describe("policies and gateways in the console", { skip: skipWithoutBrowser }, () => {
  const desk = new ConsoleDesk();
  const { gateway } = desk;
  let page: Page;
  let ui: ConsolePages;

  before(async () => {
    await gateway.start();
    await makeCached(gateway, "mail", GIB, { Tags: [{ Key: "backup", Value: "hourly" }] });
    await makeStored(gateway, "files");
    ({ page, ui } = await desk.signIn());
  });
  after(() => desk.close());

  const press = (name: string) => ui.dialog.getByRole("button", { name, exact: true }).click();
  const gatewayAction = async (name: string, item: string) => {
    await page.getByRole("button", { name: `Actions for ${name}` }).click();
    await page.getByRole("menuitem", { name: item, exact: true }).click();
  };

  test("a policy: what is wrong with it, what it would do, changed, deleted", async () => {
    await page.goto(`${gateway.endpoint}/console/policies`);
    await page.getByRole("button", { name: "Create policy" }).first().click();
    await ui.dialog.getByRole("textbox", { name: "Value" }).fill("hourly");
    await ui.dialog.getByRole("textbox", { name: "At", exact: true }).fill("25:00");
    await ui.dialog.getByRole("textbox", { name: "How many" }).fill("0");
    await press("Save");
    await ui.says("Say what the policy is for.");
    await ui.says("Hours and minutes, such as 03:30.");
    await ui.says("1 to 1000, a whole number.");
    await ui.dialog.getByLabel("Description", { exact: true }).fill("Two weeks of days");
    await ui.dialog.getByRole("textbox", { name: "At", exact: true }).fill("02:30");
    await ui.dialog.getByRole("textbox", { name: "How many" }).fill("14");
    await press("Save");
    await page.getByRole("row", { name: /On.*backup = hourly.*Every day at 02:30; the newest 14/ }).waitFor();
    await page.getByRole("button", { name: "Two weeks of days" }).click();
    await page.getByText("Takes a snapshot of mail").waitFor();
    await ui.says("Would delete nothing.");

    await page.getByRole("button", { name: "Edit", exact: true }).click();
    await ui.dialog.getByText("Take and delete snapshots").click();
    await press("Save");
    await page.getByRole("row", { name: /Two weeks of days.*Paused/ }).waitFor();
    const { Policies } = await gateway.boto.dlm("get_lifecycle_policies");
    const { Policy } = await gateway.boto.dlm("get_lifecycle_policy", { PolicyId: Policies[0].PolicyId });
    assert.equal(Policy.State, "DISABLED");
    assert.deepEqual(Policy.PolicyDetails.TargetTags, [{ Key: "backup", Value: "hourly" }]);
    assert.equal(Policy.PolicyDetails.Schedules[0].RetainRule.Count, 14);

    await page.getByRole("button", { name: "Delete", exact: true }).click();
    await ui.says("Those that it has taken stay");
    await press("Delete");
    await page.getByRole("heading", { name: "No policy yet" }).waitFor();
  });

  test("a volume is detached, and attached again under another name", async () => {
    await page.goto(`${gateway.endpoint}/console/volumes`);
    await page.getByRole("radio", { name: "Choose mail" }).check({ force: true });
    await ui.action("Detach");
    await press("Detach");
    await page.getByRole("row", { name: /mail.*Detached/ }).waitFor();
    await page.getByRole("link", { name: "mail" }).click();
    await page.getByRole("button", { name: "Attach", exact: true }).click();
    await ui.dialog.getByLabel("Name", { exact: true }).fill("files");
    await ui.dialog.getByText("Another volume has this name.").waitFor();
    await ui.dialog.getByLabel("Name", { exact: true }).fill("post");
    await press("Attach");
    await ui.heading("post");
    await ui.summaryHas("Available");
    const { VolumeInfos } = await gateway.boto.gateway("list_volumes");
    assert(
      VolumeInfos.every(
        ({ VolumeAttachmentStatus }: { VolumeAttachmentStatus: string }) =>
          VolumeAttachmentStatus === "ATTACHED",
      ),
    );
  });

  test("a gateway: its window, its zone, shut down, started, deleted", async () => {
    await page.goto(`${gateway.endpoint}/console/gateways`);
    await gatewayAction("default-stored", "Edit name and time zone");
    await ui.dialog.getByLabel("Time zone").fill("Europe/Berlin");
    await ui.dialog.getByText("GMT, or GMT with hours and minutes").waitFor();
    await ui.dialog.getByLabel("Time zone").fill("GMT+1:00");
    await ui.dialog.getByLabel("Name").fill("cellar");
    await press("Save");
    await page.getByRole("heading", { name: "cellar", level: 2, exact: true }).waitFor();
    await gatewayAction("cellar", "Edit the maintenance window");
    await ui.dialog.getByRole("textbox", { name: "At" }).fill("3 o’clock");
    await ui.dialog.getByText("Hours and minutes, such as 03:30.").waitFor();
    await ui.dialog.getByRole("textbox", { name: "At" }).fill("04:05");
    await press("Save");
    await ui.says("at 04:05");

    await gatewayAction("cellar", "Shut down");
    await ui.says("Servers lose its 1 volume");
    await press("Shut down");
    await ui.says("It is shut down");
    // What is not told of a gateway that is down hides nothing else.
    await ui.navigate("Volumes");
    await page.getByRole("row", { name: /Gateway shut down/ }).waitFor();
    await page.getByRole("row", { name: /post.*Available/ }).waitFor();
    await ui.navigate("Gateways and disks");
    await page.getByRole("button", { name: "Start", exact: true }).click();
    await ui.says("cellar runs again");
    const GatewayARN = await gatewayArn(gateway, "STORED");
    const found = await gateway.boto.gateway("describe_gateway_information", { GatewayARN });
    assert.equal(found.GatewayState, "STATE_RUNNING");
    assert.equal(found.GatewayTimezone, "GMT+1:00");

    await gatewayAction("cellar", "Delete");
    await ui.says("1 volume of it is deleted, too");
    assert(await ui.dialog.getByRole("button", { name: "Delete", exact: true }).isDisabled());
    await ui.dialog.getByLabel("To confirm, type cellar").fill("cellar");
    await press("Delete");
    await ui.says("cellar is deleted");
    const { Gateways } = await gateway.boto.gateway("list_gateways");
    assert.equal(Gateways.length, 1);
  });

  test("bandwidth over the week", async () => {
    await page.goto(`${gateway.endpoint}/console/settings`);
    await page.getByRole("button", { name: "Over the week: the limits of default-cached" }).click();
    await ui.dialog.getByRole("button", { name: "Begin with office hours" }).click();
    const second = ui.dialog.getByRole("group", { name: "Interval 2" });
    await second.getByLabel("From", { exact: true }).fill("17:00");
    await press("Save");
    await ui.dialog.getByText("It overlaps with an interval above.").waitFor();
    await second.getByLabel("From", { exact: true }).fill("22:00");
    await second.getByLabel("Until").fill("24:00");
    await press("Save");
    await page.getByRole("row", { name: /default-cached.*2 intervals/ }).waitFor();
    const { BandwidthRateLimitIntervals: week } = await gateway.boto.gateway(
      "describe_bandwidth_rate_limit_schedule",
      { GatewayARN: await gatewayArn(gateway, "CACHED") },
    );
    assert.equal(week[0].EndHourOfDay * 60 + week[0].EndMinuteOfHour, 17 * 60 + 59);
    assert.equal(week[1].EndHourOfDay * 60 + week[1].EndMinuteOfHour, 23 * 60 + 59);
    assert.deepEqual(week[0].DaysOfWeek, [1, 2, 3, 4, 5]);
    assert.equal(week[1].AverageUploadRateLimitInBitsPerSec, 100_000_000);
  });

  test("a key is exchanged, and the old pair ends", async () => {
    await page.goto(`${gateway.endpoint}/console/settings`);
    await page.getByRole("button", { name: "Create a key" }).click();
    await ui.dialog.getByLabel("Name").fill("robot");
    await press("Create");
    const before = (await ui.dialog.locator("pre").textContent()) ?? "";
    await press("I have kept it");
    await page.getByRole("radio", { name: "Choose robot" }).check({ force: true });
    await page.getByRole("button", { name: "Rotate", exact: true }).click();
    await press("Rotate");
    await ui.says("The secret is shown this one time only.");
    const after = (await ui.dialog.locator("pre").textContent()) ?? "";
    assert.notEqual(after, before);
    await press("I have kept it");
    assert.equal(await page.getByRole("row", { name: /robot/ }).count(), 2);
    const oldId = /AKIA\w+/.exec(before)?.[0] ?? "";
    await page.getByRole("row", { name: oldId }).getByRole("radio").check({ force: true });
    await page.getByRole("button", { name: "Delete", exact: true }).click();
    const asked = ui.dialog.getByLabel(/^To confirm, type robot/);
    await asked.fill((await asked.getAttribute("placeholder")) ?? "");
    await press("Delete");
    await page.getByRole("row", { name: oldId }).waitFor({ state: "detached" });
    assert.equal(await page.getByRole("row", { name: /robot/ }).count(), 1);
  });

  test("tables sort by their columns, and cards by what is chosen above them", async () => {
    await page.goto(`${gateway.endpoint}/console/gateways`);
    const list = page.getByRole("table").filter({ hasText: "files" }).first();
    const names = async () =>
      (await list.getByRole("rowheader").allInnerTexts()).map((text) => text.trim()).filter(Boolean);
    await list.getByRole("rowheader").first().waitFor();
    const sorted = [...(await names())].sort();
    assert(sorted.length >= 2);
    const header = list.getByRole("columnheader", { name: "Disk" }).getByText("Disk", { exact: true });
    await header.click();
    assert.deepEqual(await names(), sorted);
    await header.click();
    assert.deepEqual(await names(), sorted.toReversed());
    const before = page.viewportSize();
    await page.setViewportSize({ width: 390, height: 844 });
    const cards = page.locator(".card-list").filter({ hasText: "files" }).first();
    await cards.getByRole("button", { name: /Sort by/ }).click();
    await page.getByRole("option", { name: "Disk, growing" }).click();
    const first = cards.getByRole("listitem").first();
    await first.filter({ hasText: sorted[0] ?? "" }).waitFor();
    await page.setViewportSize(before ?? { width: 1280, height: 800 });
  });

  test("the vault's page shows what opens it", async () => {
    const added = sluicegateWith(
      { ...process.env, SLUICEGATE_PASSPHRASE: "a passphrase that is long enough" },
      ...["vault", "key", "add", "--data", gateway.dataDir],
    );
    assert.equal(added.status, 0, added.stderr);
    await page.goto(`${gateway.endpoint}/console/vault`);
    const keys = page.getByRole("table", { name: "Keys of the vault" });
    await keys.getByRole("row", { name: /key file/ }).waitFor();
    await keys.getByRole("row", { name: new RegExp(`${added.stdout.trim()}.*passphrase`) }).waitFor();
  });
});
