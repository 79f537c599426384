import { strict as assert } from "node:assert";
import { describe, test } from "node:test";
import fc from "fast-check";
import { SeededRandom } from "../../test/kit/seeded-random.ts";
import { type KeySlot, makeSlot, openSlot, slotName } from "./key-slots.ts";
import { parseVault, slotOf, withoutSlot, withSlot } from "./vault-json.ts";

const random = new SeededRandom(3);
const VAULT_ID = random.bytes(16);
const MASTER = random.bytes(32);
const KEY_FILE = random.bytes(32);
const PASSPHRASE = "four words make one";

function vaultJson(slots: readonly KeySlot[]): Buffer {
  return Buffer.from(
    JSON.stringify({
      ...{ format: "sluicegate-vault", formatVersion: 1, vaultId: VAULT_ID.toString("hex"), keySlots: slots },
      defaults: { blockBytes: 65536, packBytes: 16777216 },
    }),
  );
}

describe("key slots", () => {
  const byFile = makeSlot({ keyFile: KEY_FILE }, VAULT_ID, MASTER, random);
  const byPassphrase = makeSlot({ passphrase: PASSPHRASE }, VAULT_ID, MASTER, random, 17);

  test("give the master key to who has the secret, and to nobody else", () => {
    assert.deepEqual(openSlot(byFile, VAULT_ID, { keyFile: KEY_FILE }), MASTER);
    assert.deepEqual(openSlot(byPassphrase, VAULT_ID, { passphrase: PASSPHRASE }), MASTER);
    assert.equal(openSlot(byFile, VAULT_ID, { keyFile: random.bytes(32) }), undefined);
    assert.equal(openSlot(byFile, VAULT_ID, { passphrase: PASSPHRASE }), undefined);
    assert.equal(openSlot(byPassphrase, VAULT_ID, { passphrase: `${PASSPHRASE} ` }), undefined);
    assert.equal(openSlot(byPassphrase, VAULT_ID, { keyFile: KEY_FILE }), undefined);
    // A slot of one vault must not do for another.
    assert.equal(openSlot(byFile, random.bytes(16), { keyFile: KEY_FILE }), undefined);
    assert(!JSON.stringify([byFile, byPassphrase]).includes(MASTER.toString("base64")));
  });

  test("take a passphrase however its letters are composed", () => {
    const slot = makeSlot({ passphrase: "caf\u00e9 and more words" }, VAULT_ID, MASTER, random);
    assert.deepEqual(openSlot(slot, VAULT_ID, { passphrase: "cafe\u0301 and more words" }), MASTER);
  });

  test("refuse secrets that are too weak", () => {
    for (const secret of [{ passphrase: "short" }, { keyFile: Buffer.alloc(31, 1) }, {}])
      assert.throws(() => makeSlot(secret, VAULT_ID, MASTER, random), { kind: "wrongKey" });
  });

  test("refuse a slot that asks for more than opening may cost", () => {
    const costs = [{ n: 2 ** 40 }, { r: 2 ** 20 }, { p: 1000 }, { n: 3 }, { n: -2 }, { r: 0.5 }, { p: 0 }];
    for (const cost of costs) {
      const open = () => openSlot({ ...byPassphrase, ...cost }, VAULT_ID, { passphrase: PASSPHRASE });
      assert.throws(open, { kind: "corrupt" }, JSON.stringify(cost));
    }
  });

  test("that are damaged are refused or don't open, and nothing else happens", () => {
    fc.assert(
      fc.property(fc.nat({ max: 31 }), fc.nat({ max: 7 }), fc.boolean(), (at, bit, isSalt) => {
        const bytes = Buffer.from(isSalt ? byFile.salt : byFile.wrappedKey, "base64");
        bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << bit), at);
        const slot = { ...byFile, [isSalt ? "salt" : "wrappedKey"]: bytes.toString("base64") };
        assert.equal(openSlot(slot, VAULT_ID, { keyFile: KEY_FILE }), undefined);
      }),
    );
    for (const broken of [{ wrappedKey: "" }, { wrappedKey: 5 }, { salt: undefined }])
      assert.throws(() => openSlot({ ...byFile, ...broken } as never, VAULT_ID, { keyFile: KEY_FILE }), {
        kind: "corrupt",
      });
  });

  test("come and go; the last one stays", () => {
    const json = vaultJson([{ type: "of the future", salt: "", wrappedKey: "" }, byFile]);
    const opened = parseVault(json, { keyFile: KEY_FILE });
    const both = withSlot(opened, { passphrase: PASSPHRASE }, random, 17);
    assert.deepEqual(parseVault(both, { passphrase: PASSPHRASE }).masterKey, MASTER);
    assert.equal(slotOf(both, { keyFile: KEY_FILE }), slotName(byFile));
    const alone = withoutSlot(both, slotName(byFile));
    assert.throws(() => parseVault(alone, { keyFile: KEY_FILE }), { kind: "wrongKey" });
    assert.deepEqual(parseVault(alone, { passphrase: PASSPHRASE }).masterKey, MASTER);
    assert.throws(() => withoutSlot(both, "00000000"), { kind: "notFound" });
    assert.throws(() => withoutSlot(vaultJson([byFile]), slotName(byFile)), { kind: "inUse" });
  });
});
