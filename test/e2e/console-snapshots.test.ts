/** Snapshots beside each other in the console: what each takes by itself, how two differ, and restores by time. */
import { strict as assert } from "node:assert";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Page } from "playwright-core";
import { skipWithoutBrowser } from "../clients/browser.ts";
import type { ConsolePages } from "../clients/console.ts";
import { ConsoleDesk } from "../clients/console-desk.ts";
import { qemuIo, volumeUrl } from "../clients/iscsi.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { completed, makeCached } from "./volume-kit.ts";

const MIB = 1024 ** 2;

describe("what snapshots take and how they differ, in the console", { skip: skipWithoutBrowser }, () => {
  const desk = new ConsoleDesk();
  const { gateway } = desk;
  const noise = join(desk.folder, "noise");
  const ids: string[] = [];
  let page: Page;
  let ui: ConsolePages;

  before(async () => {
    await gateway.start();
    const arn = await makeCached(gateway, "mail");
    const url = volumeUrl(gateway.portal, "mail");
    const random = new SeededRandom(11);
    // Noise does not compress: what it takes in the bucket is what it holds.
    for (const [description, ...writes] of [
      ["Monday", ["0", 8]],
      ["Tuesday", ["4M", 2]],
      ["Wednesday", ["4M", 4]],
    ] as [string, [string, number]][]) {
      for (const [at, mib] of writes) {
        writeFileSync(noise, random.bytes(mib * MIB));
        await qemuIo(url, `write -s ${noise} ${at} ${mib}M`);
      }
      const { SnapshotId } = await gateway.boto.gateway("create_snapshot", {
        VolumeARN: arn,
        SnapshotDescription: description,
      });
      await completed(gateway, SnapshotId);
      ids.push(SnapshotId);
    }
    ({ page, ui } = await desk.signIn());
  });
  after(() => desk.close());

  test("each has what no neighbour has", async () => {
    await ui.navigate("Snapshots");
    // Of Monday's 8 MiB Tuesday rewrote 2; of Tuesday's 2 Wednesday all; Wednesday's 4 the volume still has.
    await page.getByRole("row", { name: /Monday.*8 MiB.*2(\.0\d)? MiB/ }).waitFor();
    await page.getByRole("row", { name: /Tuesday.*8 MiB.*2(\.0\d)? MiB/ }).waitFor();
    await page.getByRole("row", { name: /Wednesday.*8 MiB.*0 B/ }).waitFor();
  });

  test("two of them compared: how much, and where", async () => {
    await page.getByRole("checkbox", { name: /Choose Monday/ }).check({ force: true });
    await page.getByRole("checkbox", { name: /Choose Wednesday/ }).check({ force: true });
    await ui.action("Compare");
    await ui.dialog.getByText("What has changed until “Wednesday”").waitFor();
    await ui.dialog.getByText("4 MiB in 64 blocks").waitFor();
    // 1 GiB in a hundred parts of 10 MiB: all of it lies in the first.
    await ui.dialog.getByRole("img", { name: "Where on the volume: in 1 of 100 equal parts" }).waitFor();
    await ui.dialog.getByRole("button", { name: "Close", exact: true }).last().click();
  });

  test("one that a volume stands on frees nothing", async () => {
    await page.goto(`${gateway.endpoint}/console/volumes/create?snapshot=${ids[1]}`);
    await ui.next();
    await page.getByLabel("Name", { exact: true }).fill("tuesday");
    await ui.next();
    await page.getByRole("button", { name: "Create volume" }).click();
    await ui.heading("tuesday");
    await ui.navigate("Snapshots");
    await page.getByRole("row", { name: /Tuesday.*0 B, in use/ }).waitFor();
  });

  test("a volume as of a time: the newest moment before it", async () => {
    await page.goto(`${gateway.endpoint}/console/volumes`);
    await page.getByRole("link", { name: "mail", exact: true }).click();
    await page.getByRole("tab", { name: "Recovery points" }).click();
    await ui.says("One is made every minute while something is written.");
    await page.getByRole("button", { name: "Restore as of a time" }).click();
    await ui.dialog.getByLabel("Day", { exact: true }).fill("2001/02/03");
    await ui.dialog.getByText("No moment that old is kept").first().waitFor();
    await ui.dialog.getByLabel("Day", { exact: true }).fill("2101/02/03");
    await ui.dialog.getByText("The newest moment that is not after it").waitFor();
    await ui.dialog.getByRole("button", { name: "Go on" }).click();
    await ui.heading("Kind and content");
    const { Snapshots } = await gateway.boto.ec2("describe_snapshots");
    assert(
      Snapshots.some(({ Description }: { Description: string }) => Description.startsWith("mail as of ")),
    );
  });

  test("how often a volume gets recovery points is set, and shown", async () => {
    await page.goto(`${gateway.endpoint}/console/volumes`);
    await page.getByRole("link", { name: "mail", exact: true }).click();
    await page.getByRole("tab", { name: "Recovery points" }).click();
    await page.getByRole("button", { name: "How often" }).click();
    await ui.dialog.getByText("All for 1 hour, then one in 10 minutes for 1 day").waitFor();
    await ui.dialog.getByRole("button", { name: /While something was written/ }).click();
    await page.getByRole("option", { name: "Every 5 minutes" }).click();
    await ui.dialog.getByRole("button", { name: "Save" }).click();
    await ui.says("One is made every 5 minutes while something is written.");
  });
});
