import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { ConditionalStore, hasConditionalWrites } from "./conditional.ts";
import { HedgingStore } from "./hedging.ts";
import { MemoryStore } from "./memory.ts";
import { type ByteRange, type PutOptions, StoreError } from "./object-store.ts";

const RANGE: ByteRange = { offsetBytes: 0, lengthBytes: 1 };

/** A store whose reads are answered when the test says so. */
class HeldStore extends MemoryStore {
  readonly held: { answer(value: string): void; fail(): void }[] = [];

  override get(): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.held.push({
        answer: (value) => resolve(Buffer.from(value)),
        fail: () => reject(new StoreError("unavailable", "no answer")),
      });
    });
  }
}

describe("hedging", () => {
  async function warm(): Promise<{ store: HedgingStore; held: HeldStore["held"]; clock: ManualClock }> {
    const clock = new ManualClock();
    const inner = new HeldStore();
    const store = new HedgingStore(inner, clock);
    for (let i = 0; i < 64; i++) {
      const got = store.get("k", RANGE);
      clock.advance(20);
      inner.held.pop()?.answer("x");
      await got;
    }
    return { store, held: inner.held, clock };
  }

  test("asks again where an answer is slow, and takes the first that comes", async () => {
    const { store, held, clock } = await warm();
    const got = store.get("k", RANGE);
    clock.advance(199);
    assert.equal(held.length, 1);
    clock.advance(1);
    assert.equal(held.length, 2);
    held[1]?.answer("second");
    assert.equal((await got).toString(), "second");
    held[0]?.answer("first, and too late");
  });

  test("a failure of one leaves it to the other; the last one's is the caller's", async () => {
    const { store, held, clock } = await warm();
    const got = store.get("k", RANGE);
    clock.advance(200);
    held[1]?.fail();
    held[0]?.answer("first");
    assert.equal((await got).toString(), "first");
    held.length = 0;
    const fast = store.get("k", RANGE);
    held[0]?.fail();
    await assert.rejects(fast, { kind: "unavailable" });
    clock.advance(1000);
    assert.equal(held.length, 1, "one that failed fast is not asked again here");
  });

  test("costs no more than one request in ten", async () => {
    const { store, held, clock } = await warm();
    const waiting: Promise<Buffer>[] = [];
    for (let i = 0; i < 100; i++) waiting.push(store.get("k", RANGE));
    clock.advance(60_000);
    assert(held.length > 100 && held.length <= 114, `${held.length} requests`);
    for (const one of held) one.answer("x");
    await Promise.all(waiting);
  });

  test("lets whole objects alone, and waits while it does not know what slow is", async () => {
    const clock = new ManualClock();
    const inner = new HeldStore();
    const store = new HedgingStore(inner, clock);
    const whole = store.get("k");
    const part = store.get("k", RANGE);
    clock.advance(100_000);
    assert.equal(inner.held.length, 2);
    for (const one of inner.held) one.answer("x");
    await Promise.all([whole, part]);
  });
});

describe("conditional writes", () => {
  /** As some servers are: the condition is passed over in silence, or refused. */
  class Careless extends MemoryStore {
    refuses = false;
    override put(key: string, body: Buffer, options?: PutOptions): Promise<"created" | "exists"> {
      if (this.refuses && options?.ifAbsent === true)
        return Promise.reject(new StoreError("unsupported", "501"));
      return super.put(key, body);
    }
  }

  for (const refuses of [false, true]) {
    test(`that are ${refuses ? "refused" : "passed over"} are found out and done without`, async () => {
      const inner = new Careless();
      inner.refuses = refuses;
      assert.equal(await hasConditionalWrites(inner, new SeededRandom(1)), false);
      const told: string[] = [];
      const store = new ConditionalStore(inner, new SeededRandom(1), (message) => told.push(message));
      assert.equal(await store.put("k", Buffer.from("first"), { ifAbsent: true }), "created");
      assert.equal(await store.put("k", Buffer.from("late"), { ifAbsent: true }), "exists");
      assert.equal((await store.get("k")).toString(), "first");
      assert.equal(told.length, 1);
    });
  }

  test("that are kept are used, and the trial is made once", async () => {
    const inner = new MemoryStore();
    assert.equal(await hasConditionalWrites(inner, new SeededRandom(1)), true);
    const told: string[] = [];
    const store = new ConditionalStore(inner, new SeededRandom(1), (message) => told.push(message));
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, i) => store.put("k", Buffer.from([i]), { ifAbsent: true })),
    );
    assert.equal(answers.filter((answer) => answer === "created").length, 1);
    assert.deepEqual(told, []);
    const keys: string[] = [];
    for await (const { key } of store.list("")) keys.push(key);
    assert.deepEqual(keys, ["k"]);
  });

  test("a trial that finds no answer is made again", async () => {
    const inner = new MemoryStore();
    const put = inner.put.bind(inner);
    inner.put = () => Promise.reject(new StoreError("unavailable", "no answer"));
    const store = new ConditionalStore(inner, new SeededRandom(1), assert.fail);
    await assert.rejects(store.put("k", Buffer.alloc(1), { ifAbsent: true }), { kind: "unavailable" });
    inner.put = put;
    assert.equal(await store.put("k", Buffer.alloc(1), { ifAbsent: true }), "created");
  });
});
