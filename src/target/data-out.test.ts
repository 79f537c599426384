/** The data of writes (RFC 7143, 11.7 and 11.8): immediate, unsolicited, solicited; its faults and its digests. */
import { strict as assert } from "node:assert";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import type { RawInitiator } from "../../test/kit/raw-initiator.ts";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { expect, RESPONSE, statusOf, TargetKit, write, write10 } from "../../test/kit/target-kit.ts";

const DIGESTS = ["HeaderDigest=CRC32C", "DataDigest=CRC32C"];

describe("Data-Out", () => {
  const kit = new TargetKit();
  const { device, target } = kit;
  before(() => kit.start());
  after(() => kit.stop());

  for (const digests of [[], ...DIGESTS.map((digest) => [digest]), DIGESTS]) {
    test(`immediate, unsolicited and solicited data in any mix ${digests.join(", ")}`, async () => {
      const initiator = await kit.loggedIn(`mix-${digests.length}`, [
        ...["InitialR2T=No", "ImmediateData=Yes", "FirstBurstLength=16384", "MaxBurstLength=32768"],
        ...digests,
      ]);
      const random = new SeededRandom(5);
      let tag = 1;
      for (const blocks of [1, 7, 32, 33, 130, 257]) {
        for (const immediate of [0, 512, 4096, 16384]) {
          for (const unsolicited of [0, 512, 16384 - immediate]) {
            if (immediate > blocks * 512 || immediate + unsolicited > 16384) continue;
            const data = random.bytes(blocks * 512);
            const mix = { immediate, unsolicited, pduBytes: random.pick([512, 1000, 4096, 65536]) };
            assert.equal(
              await write(initiator, tag, 40, data, mix),
              "good",
              JSON.stringify({ blocks, ...mix }),
            );
            assert(device.content.subarray(40 * 512, 40 * 512 + data.length).equals(data));
            tag += 1;
          }
        }
      }
      initiator.close();
    });
  }

  test("a burst is never longer than MaxBurstLength, and one R2T is out at a time", async () => {
    const initiator = await kit.loggedIn("bursts", [
      "MaxBurstLength=8192",
      "ImmediateData=No",
      "MaxOutstandingR2T=8",
    ]);
    assert.match(initiator.loginText, /\0MaxOutstandingR2T=1\0/);
    initiator.command(9, write10(0, 40), 0xa1, 40 * 512);
    await expect(initiator, RESPONSE.r2t);
    // Nothing more is asked for before this is there, and not for its last part only.
    initiator.ping(10);
    await expect(initiator, RESPONSE.nopIn);
    initiator.manage(11, 1, 9);
    await expect(initiator, RESPONSE.task);
    const data = new SeededRandom(6).bytes(20 * 1024);
    assert.equal(
      await write(initiator, 1, 0, data, { immediate: 0, unsolicited: 0, pduBytes: 3000 }),
      "good",
    );
    initiator.close();
  });

  const faults: Record<string, { readonly sense: string; send(initiator: RawInitiator, r2t: Buffer): void }> =
    {
      "a transfer tag that was not given": {
        sense: "b/4b/1",
        send: (i, r2t) =>
          i.send(i.dataOutHeader(9, r2t.readUInt32BE(20) + 1, 0, 0, 4096), Buffer.alloc(4096)),
      },
      "a DataSN out of order": {
        sense: "b/4b/0",
        send: (i, r2t) => i.send(i.dataOutHeader(9, r2t.readUInt32BE(20), 1, 0, 4096), Buffer.alloc(4096)),
      },
      "an offset out of order": {
        sense: "b/4b/5",
        send: (i, r2t) => i.send(i.dataOutHeader(9, r2t.readUInt32BE(20), 0, 512, 3584), Buffer.alloc(3584)),
      },
      "more than the burst": {
        sense: "b/4b/2",
        send: (i, r2t) => i.send(i.dataOutHeader(9, r2t.readUInt32BE(20), 0, 0, 4097), Buffer.alloc(4097)),
      },
    };
  for (const [what, { sense, send }] of Object.entries(faults)) {
    test(`Data-Out with ${what} ends its command, and nothing is written`, async () => {
      const initiator = await kit.loggedIn("faults");
      device.content.fill(0x11, 0, 8192);
      initiator.command(9, write10(0, 8), 0xa1, 4096);
      send(initiator, (await expect(initiator, RESPONSE.r2t)).bhs);
      assert.equal(await statusOf(initiator), sense);
      assert(device.content.subarray(0, 8192).every((byte) => byte === 0x11));
      // The same tag is free again, and the session goes on.
      const mix = { immediate: 0, unsolicited: 0, pduBytes: 4096 };
      assert.equal(await write(initiator, 9, 0, Buffer.alloc(4096, 0x22), mix), "good");
      assert.equal(target.buffers.usedBytes, 0);
      initiator.close();
    });
  }

  test("unsolicited data that was not agreed ends its command", async () => {
    const strict = await kit.loggedIn("strict", ["ImmediateData=No", "InitialR2T=Yes"]);
    strict.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512));
    assert.equal(await statusOf(strict), "b/c/c");
    // Without the F bit unsolicited data would follow: it is asked for all the same.
    strict.command(2, write10(0, 1), 0x21, 512);
    await expect(strict, RESPONSE.r2t);
    strict.send(strict.dataOutHeader(2, 0xffffffff, 0, 0, 512), Buffer.alloc(512));
    assert.equal(await statusOf(strict), "b/4b/1");
    const short = await kit.loggedIn("short", ["InitialR2T=No", "FirstBurstLength=512"]);
    short.command(1, write10(0, 2), 0x21, 1024, Buffer.alloc(1024));
    assert.equal(await statusOf(short), "b/c/c");
    short.command(2, write10(0, 2), 0x21, 1024);
    short.send(short.dataOutHeader(2, 0xffffffff, 0, 0, 1024), Buffer.alloc(1024));
    assert.equal(await statusOf(short), "b/c/c");
    strict.close();
    short.close();
  });

  test("a data digest that is wrong costs one command; a header digest the connection", async () => {
    const initiator = await kit.loggedIn("digests", [...DIGESTS, "ImmediateData=Yes"]);
    device.content.fill(0x33, 0, 512);
    initiator.badDigests.add("data");
    initiator.command(1, write10(0, 1), 0xa1, 512, Buffer.alloc(512));
    assert.equal((await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2), 0x02);
    assert.equal(await statusOf(initiator), "b/47/5");
    initiator.command(2, write10(0, 1), 0xa1, 512);
    const { bhs } = await expect(initiator, RESPONSE.r2t);
    initiator.badDigests.add("data");
    initiator.send(initiator.dataOutHeader(2, bhs.readUInt32BE(20), 0, 0, 512), Buffer.alloc(512));
    assert.equal((await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2), 0x02);
    assert.equal(await statusOf(initiator), "b/47/5");
    initiator.badDigests.add("data");
    initiator.ping(3, "ping");
    assert.equal((await expect(initiator, RESPONSE.reject)).bhs.readUInt8(2), 0x02);
    initiator.ping(4, "ping");
    assert.equal((await expect(initiator, RESPONSE.nopIn)).data.toString(), "ping");
    assert(
      device.content.subarray(0, 512).every((byte) => byte === 0x33),
      "nothing was written",
    );
    const closed = once(initiator.socket, "close");
    initiator.badDigests.add("header");
    initiator.ping(5);
    await closed;
  });
});
