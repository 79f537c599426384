import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import { nextTurn } from "../platform/clock.ts";
import { RangeLocks } from "./range-locks.ts";

/** An action that lasts until it is let go, and says when it began. */
class Held {
  began = false;
  letGo: () => void = () => {};
  readonly #until = new Promise<void>((resolve) => {
    this.letGo = resolve;
  });
  readonly action = async () => {
    this.began = true;
    await this.#until;
  };
}

describe("range locks", () => {
  test("writes share a range; who wants it alone waits for them, and they for it", async () => {
    const locks = new RangeLocks();
    const [a, b, alone, late] = [new Held(), new Held(), new Held(), new Held()];
    const done = [
      locks.shared(0, 10, a.action),
      locks.shared(5, 10, b.action),
      locks.exclusive(8, 10, alone.action),
      locks.shared(17, 10, late.action),
    ];
    assert(a.began && b.began && !alone.began && !late.began);
    assert(!locks.isFree);
    a.letGo();
    await nextTurn();
    assert(!alone.began);
    b.letGo();
    await nextTurn();
    assert(alone.began && !late.began);
    alone.letGo();
    await nextTurn();
    assert(late.began);
    assert(locks.isFree);
    late.letGo();
    await Promise.all(done);
  });

  test("ranges that do not meet have nothing to do with each other", async () => {
    const locks = new RangeLocks();
    const [a, b] = [new Held(), new Held()];
    const done = [locks.exclusive(0, 10, a.action), locks.exclusive(10, 10, b.action)];
    assert(a.began && b.began);
    a.letGo();
    b.letGo();
    await Promise.all(done);
  });

  test("an action that fails lets go of its range", async () => {
    const locks = new RangeLocks();
    const failing = locks.exclusive(0, 10, () => Promise.reject(new Error("no")));
    const next = new Held();
    const done = locks.exclusive(0, 10, next.action);
    await assert.rejects(failing, /no/);
    await nextTurn();
    assert(next.began);
    next.letGo();
    await done;
    assert(locks.isFree);
  });
});
