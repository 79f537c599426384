import { strict as assert } from "node:assert";
import { createHmac } from "node:crypto";
import { after, before, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { WebhookListener } from "../../test/kit/webhook-listener.ts";
import type { EventType, GatewayEvent } from "./event.ts";
import { DELIVERY_HEADER, SIGNATURE_HEADER, Webhook } from "./webhook.ts";

describe("the webhook", () => {
  const listener = new WebhookListener();
  const { taken } = listener;

  before(() => listener.start());
  after(() => listener.stop());

  const event = (type: EventType): GatewayEvent => ({
    ...{ type, severity: "error", atMs: 1_700_000_000_000, message: "something is the matter" },
    resources: ["snap-1"],
  });
  /** Resolves when so many requests have come in all; time goes by meanwhile. */
  async function until(count: number, clock: ManualClock): Promise<void> {
    while (taken.length < count) {
      const next = new Promise<void>((resolve) => {
        listener.onTaken = resolve;
      });
      for (let i = 0; i < 50 && clock.nextDueMs === undefined && taken.length < count; i++)
        await Promise.race([next, new Promise((resolve) => setImmediate(resolve))]);
      if (taken.length < count) clock.advance(600_000);
    }
  }
  function world(more: object = {}) {
    taken.length = 0;
    listener.status = 200;
    const clock = new ManualClock();
    const problems: string[] = [];
    const onProblem = (message: string) => problems.push(message);
    const webhook = new Webhook({
      ...{ url: listener.url, secret: "shared", clock, random: new SeededRandom(1), onProblem },
      ...more,
    });
    return { clock, problems, webhook };
  }

  test("tells an event once, signed over its time and body", async () => {
    const { clock, webhook } = world();
    webhook.tell(event("SnapshotFailed"));
    await until(1, clock);
    const [{ headers, body } = assert.fail()] = taken;
    assert.deepEqual(JSON.parse(body), {
      ...{ Type: "SnapshotFailed", Severity: "error", Time: 1_700_000_000 },
      ...{ Message: "something is the matter", Resources: ["snap-1"] },
    });
    const signature = String(headers[SIGNATURE_HEADER]);
    const seconds = /^t=(\d+),v1=/.exec(signature)?.[1];
    const expected = createHmac("sha256", "shared").update(`${seconds}.${body}`).digest("hex");
    assert.equal(signature, `t=${seconds},v1=${expected}`);
  });

  test("tries again under the same name, and gives up in the end", async () => {
    const { clock, problems, webhook } = world();
    listener.status = 503;
    webhook.tell(event("StoreUnreachable"));
    await until(6, clock);
    assert.equal(new Set(taken.map(({ headers }) => headers[DELIVERY_HEADER])).size, 1);
    while (problems.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.match(problems[0] ?? "", /not taken: StoreUnreachable/);
    listener.status = 200;
    webhook.tell(event("StoreReachable"));
    await until(7, clock);
    assert.equal(JSON.parse(taken[6]?.body ?? "{}").Type, "StoreReachable");
  });

  test("tells only what is asked for, and without being asked nothing that is only good to know", async () => {
    const quiet = world();
    quiet.webhook.tell(event("CollectionDone"));
    quiet.webhook.tell(event("SnapshotCompleted"));
    await until(1, quiet.clock);
    assert.deepEqual(
      taken.map(({ body }) => JSON.parse(body).Type),
      ["SnapshotCompleted"],
    );
    const chosen = world({ events: ["CollectionDone"] });
    chosen.webhook.tell(event("SnapshotCompleted"));
    chosen.webhook.tell(event("CollectionDone"));
    await until(1, chosen.clock);
    assert.deepEqual(
      taken.map(({ body }) => JSON.parse(body).Type),
      ["CollectionDone"],
    );
  });

  test("holds only so many events", () => {
    const { problems, webhook } = world({ send: () => new Promise(() => {}) });
    for (let i = 0; i < 300; i++) webhook.tell(event("SnapshotFailed"));
    assert.equal(problems.length, 300 - 256 - 1);
    webhook.close();
  });
});
