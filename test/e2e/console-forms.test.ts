/** The forms of the console beyond volumes and snapshots: what they refuse, and that what they set is set. */
import { strict as assert } from "node:assert";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { skipWithoutBrowser } from "../clients/browser.ts";
import type { ConsolePages } from "../clients/console.ts";
import { ConsoleDesk } from "../clients/console-desk.ts";
import { completed, createSnapshot, gatewayArn, makeCached } from "./volume-kit.ts";

const INITIATOR = "iqn.1993-08.org.debian:01:test";

describe("the forms of the console", { skip: skipWithoutBrowser }, () => {
  const desk = new ConsoleDesk();
  const { gateway } = desk;
  let page: Page;
  let ui: ConsolePages;
  let volumePath = "";
  let snapshotId = "";

  before(async () => {
    await gateway.start();
    const arn = await makeCached(gateway, "mail");
    volumePath = `/volumes/${arn.split("/volume/")[1]?.toLowerCase() ?? ""}`;
    snapshotId = await createSnapshot(gateway, arn);
    await completed(gateway, snapshotId);
    ({ page, ui } = await desk.signIn());
  });
  after(() => desk.close());

  const open = (path: string) => page.goto(`${gateway.endpoint}/console${path}`);
  const press = (name: string) => ui.dialog.getByRole("button", { name, exact: true }).click();

  test("a schedule", async () => {
    await open(`${volumePath}?tab=schedules`);
    await page.getByRole("button", { name: "Add a schedule" }).click();
    await press("Save");
    await ui.says("Its snapshots get this name as their description.");
    await ui.dialog.getByLabel("Name").fill("Hourly");
    await ui.dialog.getByLabel("Time zone").fill("Nowhere/Land");
    await press("Save");
    await ui.dialog.getByText(/zone/i).nth(1).waitFor();
    await ui.dialog.getByLabel("Time zone").fill("Europe/Berlin");
    await press("Save");
    await page.getByRole("row", { name: /Hourly.*0 \* \* \* \*.*Europe\/Berlin.*On/ }).waitFor();
  });

  test("a moment without a name is restored as a new volume", async () => {
    await open(`${volumePath}?tab=recovery-points`);
    await page
      .getByRole("radio", { name: /^Choose 2/ })
      .first()
      .check({ force: true });
    await page.getByRole("button", { name: "Restore", exact: true }).click();
    await ui.dialog.getByLabel("Description of the snapshot").fill("");
    await press("Go on");
    await ui.says("1 to 255 characters.");
    await ui.dialog.getByLabel("Description of the snapshot").fill("The moment before");
    await press("Go on");
    await ui.heading("Kind and content");
    await ui.next();
    await page.getByLabel("Name", { exact: true }).fill("mail-before");
    await ui.next();
    await page.getByRole("button", { name: "Create volume" }).click();
    await ui.heading("mail-before");
    const { Snapshots } = await gateway.boto.ec2("describe_snapshots");
    assert(Snapshots.some(({ Description }: { Description: string }) => Description === "The moment before"));
  });

  test("CHAP: only who is named may attach the volume", async () => {
    await open(`${volumePath}?tab=chap`);
    await page.getByRole("button", { name: "Add a server" }).click();
    await ui.dialog.getByLabel("Initiator’s name").fill("No Name");
    await ui.dialog.getByLabel("The server’s secret").fill("short");
    await press("Add");
    await ui.says("12 to 16 characters.");
    await ui.says("The initiator’s name, such as");
    await ui.dialog.getByLabel("Initiator’s name").fill(INITIATOR);
    await ui.dialog.getByLabel("The server’s secret").fill("twelve-and-4more");
    await press("Add");
    await page.getByRole("row", { name: INITIATOR }).waitFor();
    await ui.summaryHas("required");
  });

  test("a lock, which holds", async () => {
    await open(`/snapshots/${snapshotId}`);
    await ui.heading("a test");
    await ui.action("Lock");
    await ui.dialog.getByLabel("Days").fill("0");
    await press("Lock");
    await ui.says("1 to 36500 days, a whole number.");
    await ui.dialog.getByLabel("Days").fill("2");
    await press("Lock");
    await ui.says("Locked until");
    await ui.action("Delete");
    await press("Delete");
    await ui.dialog.getByText("Unlock it first, or wait until the lock ends.").waitFor();
    await press("Cancel");
  });

  test("an upload buffer on a new disk", async () => {
    await open("/gateways");
    await page.getByRole("button", { name: "Add a disk" }).first().click();
    await ui.dialog.getByRole("radio", { name: /Upload buffer/ }).check({ force: true });
    await press("Add");
    await ui.says("Letters, digits, dots, hyphens and underscores.");
    await ui.dialog.getByLabel("Name of the disk").fill("more-buffer");
    await ui.dialog.getByLabel("Size of the disk in GiB").fill("1");
    await press("Add");
    await ui.says("more-buffer is in use as upload buffer now");
  });

  test("bandwidth, and a key that may only look", async () => {
    await open("/settings");
    await page.getByRole("button", { name: "For all time: the limits of default-cached" }).click();
    await ui.dialog.getByLabel("To the bucket, in Mbit/s").fill("0.01");
    await ui.says("At least 0.0512 Mbit/s");
    await ui.dialog.getByLabel("To the bucket, in Mbit/s").fill("80");
    await press("Save");
    await page.getByRole("row", { name: /default-cached.*80 Mbit\/s.*no limit/ }).waitFor();
    const limits = await gateway.boto.gateway("describe_bandwidth_rate_limit", {
      GatewayARN: await gatewayArn(gateway, "CACHED"),
    });
    assert.equal(limits.AverageUploadRateLimitInBitsPerSec, 80_000_000);

    await page.getByRole("button", { name: "Create a key" }).click();
    await press("Create");
    await ui.says("1 to 128 characters.");
    await ui.dialog.getByLabel("Name").fill("viewer");
    await press("Create");
    const profile = (await ui.dialog.locator("pre").textContent()) ?? "";
    const reader = await (await desk.browse()).open();
    await reader.page.goto(`${gateway.endpoint}/console/`);
    await reader.page.getByLabel("Access key ID").fill(profile);
    await reader.page.getByRole("button", { name: "Sign in" }).click();
    await reader.page.getByRole("heading", { name: "Overview", level: 1 }).waitFor();
    assert(await reader.page.getByRole("button", { name: "Create volume" }).isDisabled());
    await reader.context.close();
  });

  test("what the gateway refuses, or does not answer, is said in words, and the form stays as it was", async () => {
    await open(volumePath);
    await page.getByRole("button", { name: "Create snapshot" }).first().click();
    await ui.dialog.getByLabel("Description").fill("Kept");
    const answers = [
      { status: 500, body: '{"__type":"InternalServerError","message":"The bucket is away."}' },
      { status: 502, body: "<html>Bad gateway</html>" },
    ];
    const says = [
      "The bucket is away. Try again; if it comes back, the gateway’s log says why.",
      "What has answered was not the gateway",
      "The gateway does not answer. Look whether it runs, and try again.",
    ];
    for (const [i, words] of says.entries()) {
      const answer = answers[i];
      await page.route("**/", async (route) => {
        const target = (await route.request().allHeaders())["x-amz-target"] ?? "";
        if (!target.endsWith(".CreateSnapshot")) return route.fallback();
        if (answer === undefined) return route.abort("connectionrefused");
        return route.fulfill({ ...answer, contentType: "application/x-amz-json-1.1" });
      });
      await press("Create snapshot");
      await ui.dialog.getByText(words).waitFor();
      assert.equal(await ui.dialog.getByLabel("Description").inputValue(), "Kept");
      await page.unroute("**/");
    }
    await press("Create snapshot");
    await ui.says("The snapshot is taken");
  });

  test("a verification of the vault, and all of it in the activity log", async () => {
    await open("/vault");
    await page.getByRole("button", { name: "Verify now" }).click();
    await ui.dialog.getByRole("radio", { name: /Everything/ }).check({ force: true });
    await press("Verify");
    await ui.says("Nothing is wrong");
    await ui.navigate("Activity");
    for (const name of ["PutSnapshotSchedule", "UpdateChapCredentials", "LockSnapshot", "CreateAccessKey"]) {
      await page
        .getByRole("row", { name: new RegExp(`${name}.*Succeeded`) })
        .first()
        .waitFor();
    }
    const log = (await page.getByRole("grid").textContent()) ?? "";
    assert(!log.includes("twelve-and-4more"));
  });
});
