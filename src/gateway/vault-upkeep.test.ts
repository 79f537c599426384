import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import type { CollectionReport, VaultKeeper, VerificationReport } from "./ports.ts";
import type { UpkeepMemory } from "./upkeep-memory.ts";
import { type VaultJob, VaultUpkeep } from "./vault-upkeep.ts";

const HOUR_MS = 60 * 60_000;
const DAY_MS = 24 * HOUR_MS;

/** Lets promises run. */
const settled = () => new Promise((resolve) => setImmediate(resolve));

/** A gateway's upkeep that is started again and again, over one memory and one clock. */
class Upkeeps {
  readonly clock = new ManualClock();
  readonly done: string[] = [];
  readonly problems: string[] = [];
  fails = false;
  kept: readonly VaultJob[] = [];
  readonly #memory: UpkeepMemory = {
    read: () => this.kept,
    write: (jobs) => {
      this.kept = JSON.parse(JSON.stringify(jobs)) as VaultJob[];
    },
  };

  start(): VaultUpkeep {
    const run = async (what: string) => {
      this.done.push(what);
      if (this.fails) throw new Error("no answer");
    };
    const vault = {
      collect: async (isDryRun: boolean) => {
        await run(isDryRun ? "look" : "collect");
        return { state: isDryRun ? "looked" : "done" } as CollectionReport;
      },
      verify: async () => {
        await run("verify");
        return { problems: [] as string[], problemCount: 0 } as unknown as VerificationReport;
      },
      settle: async () => {},
    } as unknown as VaultKeeper;
    const upkeep = new VaultUpkeep({
      vault,
      clock: this.clock,
      memory: this.#memory,
      beforeCollecting: async () => {},
      onProblem: (message) => this.problems.push(message),
    });
    upkeep.start();
    return upkeep;
  }

  async pass(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += HOUR_MS / 4) {
      this.clock.advance(HOUR_MS / 4);
      await settled();
    }
  }

  count(what: string): number {
    return this.done.filter((each) => each === what).length;
  }
}

describe("the upkeep of the vault", () => {
  test("collects daily and verifies weekly, also where the gateway is started anew every twelve hours", async () => {
    const upkeeps = new Upkeeps();
    for (let i = 0; i < 30; i++) {
      const upkeep = upkeeps.start();
      await upkeeps.pass(DAY_MS / 2);
      upkeep.close();
    }
    // Fifteen days, and each job waits for the hour after a start.
    const [collected, verified] = [upkeeps.count("collect"), upkeeps.count("verify")];
    assert(collected >= 13 && collected <= 16, `${collected} collections`);
    assert(verified === 2 || verified === 3, `${verified} verifications`);
    assert.deepEqual(upkeeps.problems, []);
  });

  test("does nothing twice after a restart, and knows how it went", async () => {
    const upkeeps = new Upkeeps();
    const first = upkeeps.start();
    await upkeeps.pass(2 * HOUR_MS);
    assert.equal(upkeeps.count("collect"), 1);
    first.close();
    const second = upkeeps.start();
    assert.equal(second.jobs().find(({ kind }) => kind === "CollectGarbage")?.state, "done");
    await upkeeps.pass(20 * HOUR_MS);
    assert.equal(upkeeps.count("collect"), 1);
    await upkeeps.pass(4 * HOUR_MS);
    assert.equal(upkeeps.count("collect"), 2);
    second.close();
  });

  test("a job that failed is tried again within hours, and a look does not count", async () => {
    const upkeeps = new Upkeeps();
    upkeeps.fails = true;
    const upkeep = upkeeps.start();
    await upkeeps.pass(5 * HOUR_MS);
    assert(upkeeps.count("collect") >= 3);
    upkeeps.fails = false;
    upkeep.collect(true);
    await upkeeps.pass(2 * HOUR_MS);
    assert.equal(upkeeps.count("look"), 1);
    assert.equal(upkeeps.kept.find(({ kind }) => kind === "CollectGarbage")?.state, "done");
    const collected = upkeeps.count("collect");
    await upkeeps.pass(12 * HOUR_MS);
    assert.equal(upkeeps.count("collect"), collected);
    upkeep.close();
  });

  test("what was done last is known after a restart, whatever has failed or only looked since", async () => {
    const upkeeps = new Upkeeps();
    const first = upkeeps.start();
    await upkeeps.pass(2 * HOUR_MS);
    const done = first.lastDone("CollectGarbage");
    assert(done !== undefined && first.lastDone("Verify") !== undefined);
    first.collect(true);
    await settled();
    upkeeps.fails = true;
    first.verify(100);
    await settled();
    first.close();
    upkeeps.fails = false;
    const second = upkeeps.start();
    assert.deepEqual(second.lastDone("CollectGarbage"), done);
    assert.deepEqual(
      second.jobs().map(({ kind, state }) => [kind, state]),
      [
        ["CollectGarbage", "done"],
        ["Verify", "failed"],
      ],
    );
    assert.equal(second.lastDone("Verify")?.state, "done");
    // To have looked has not put the next collection off.
    await upkeeps.pass(DAY_MS);
    assert.equal(upkeeps.count("collect"), 2);
    second.close();
  });

  test("a clock that was set back holds nothing up for longer than its interval", async () => {
    const upkeeps = new Upkeeps();
    const endedAtMs = upkeeps.clock.nowMs() + 400 * DAY_MS;
    upkeeps.kept = [{ kind: "CollectGarbage", state: "done", startedAtMs: endedAtMs, endedAtMs }];
    const upkeep = upkeeps.start();
    await upkeeps.pass(DAY_MS + HOUR_MS);
    assert.equal(upkeeps.count("collect"), 1);
    upkeep.close();
  });
});
