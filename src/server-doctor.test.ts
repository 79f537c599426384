/** Every broken situation that the doctor claims to find, made for real where that can be. */
import { strict as assert } from "node:assert";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { SeededRandom } from "../test/kit/seeded-random.ts";
import { readStartOptions } from "./cli/options.ts";
import { MemoryStore } from "./objects/memory.ts";
import { type PutOptions, StoreError } from "./objects/object-store.ts";
import { openStore } from "./objects/open-store.ts";
import { systemClock } from "./platform/clock.ts";
import {
  checkClock,
  checkDisks,
  checkFolder,
  checkKey,
  checkMemory,
  checkNode,
  checkPort,
  checkStore,
  examine,
  type Finding,
} from "./server-doctor.ts";
import { Vault } from "./vault/vault.ts";

const root = mkdtempSync(join(tmpdir(), "sg-doctor-"));
after(() => rmSync(root, { recursive: true, force: true }));
const random = new SeededRandom(1);

function folder(name: string): string {
  const path = join(root, name);
  mkdirSync(path);
  return path;
}

/** The one finding that is not good, with advice. */
function bad(findings: readonly Finding[]): Finding {
  const found = findings.filter(({ status }) => status !== "ok");
  assert.equal(found.length, 1, JSON.stringify(findings));
  const [finding] = found;
  assert(finding?.advice !== undefined);
  return finding;
}

function good(findings: readonly Finding[]): void {
  assert.deepEqual(
    findings.filter(({ status }) => status !== "ok"),
    [],
  );
}

describe("the doctor finds", () => {
  test("an old Node", () => {
    assert.equal(bad([checkNode("20.1.0")]).status, "failing");
    good([checkNode("24.0.0"), checkNode("26.1.2")]);
  });

  test("little memory", () => {
    assert.match(bad([checkMemory(300 * 1024 ** 2)]).advice ?? "", /MemoryMax/);
    good([checkMemory(1024 ** 3)]);
  });

  test("secrets that others can read", () => {
    const path = folder("secrets");
    writeFileSync(join(path, "vault.key"), Buffer.alloc(32), { mode: 0o600 });
    good(checkFolder(path));
    chmodSync(join(path, "vault.key"), 0o644);
    assert.match(bad(checkFolder(path)).advice ?? "", /chmod 600 .*vault\.key/);
  });

  test("a data folder that can't be written", {
    skip: process.getuid?.() === 0 && "root may write anywhere",
  }, () => {
    const path = folder("locked");
    chmodSync(path, 0o500);
    assert.equal(bad(checkFolder(path)).status, "failing");
  });

  test("a key that is gone, or is none", () => {
    const path = folder("key");
    good(checkKey(path));
    writeFileSync(join(path, "vault-location.json"), "{}");
    assert.match(bad(checkKey(path)).advice ?? "", /copy of vault\.key/);
    writeFileSync(join(path, "vault.key"), "short");
    assert.equal(bad(checkKey(path)).status, "failing");
    writeFileSync(join(path, "vault.key"), Buffer.alloc(32));
    good(checkKey(path));
  });

  test("devices that are not there, and sparse disks that can outgrow their file system", () => {
    const path = folder("disks");
    assert.match(bad(checkDisks(path, ["/dev/nothing-here"])).advice ?? "", /by-id/);
    mkdirSync(join(path, "disks"));
    const disk = join(path, "disks", "disk1");
    writeFileSync(disk, "");
    truncateSync(disk, 1024 ** 3);
    good(checkDisks(path, []));
    truncateSync(disk, 8 * 1024 ** 4);
    assert.equal(bad(checkDisks(path, [])).status, "warning");
  });

  test("ports that are taken, and addresses that this machine does not have", async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    assert.match(bad([await checkPort("API", { host: "127.0.0.1", port })]).message, /EADDRINUSE/);
    await new Promise((resolve) => server.close(resolve));
    good([await checkPort("API", { host: "127.0.0.1", port })]);
    assert.match(bad([await checkPort("iSCSI", { host: "192.0.2.1", port: 3260 })]).advice ?? "", /ip addr/);
  });

  test("a clock that is off", async () => {
    let offsetMs = 0;
    const server = createHttpServer((_request, response) => {
      response.setHeader("date", new Date(Date.now() + offsetMs).toUTCString()).end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    good([await checkClock(url)]);
    offsetMs = 10 * 60_000;
    assert.equal(bad([await checkClock(url)]).status, "warning");
    offsetMs = -20 * 60_000;
    assert.match(bad([await checkClock(url)]).advice ?? "", /NTP/);
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    assert.match(bad([await checkClock(url)]).message, /no answer/);
  });
});

describe("the doctor finds a bucket", () => {
  test("that is well", async () => {
    const store = new MemoryStore();
    good(await checkStore(store, random));
    for await (const { key } of store.list("")) assert.fail(`${key} was left behind`);
  });

  const denied = () => Promise.reject(new StoreError("denied", "Access Denied"));
  const cases: readonly [what: string, status: string, words: RegExp, store: MemoryStore][] = [
    ["that may not be written", "failing", /s3:PutObject/, Object.assign(new MemoryStore(), { put: denied })],
    [
      "that may not be read",
      "failing",
      /can't be read back/,
      Object.assign(new MemoryStore(), { get: denied }),
    ],
    [
      "that may not be cleared",
      "warning",
      /s3:DeleteObject/,
      Object.assign(new MemoryStore(), { delete: denied }),
    ],
    [
      "that does not exist",
      "failing",
      /Make the bucket first/,
      Object.assign(new MemoryStore(), {
        put: () => Promise.reject(new StoreError("notFound", "NoSuchBucket")),
      }),
    ],
    [
      "that can't be reached",
      "failing",
      /s3-endpoint/,
      Object.assign(new MemoryStore(), {
        put: () => Promise.reject(new StoreError("unavailable", "ECONNREFUSED")),
      }),
    ],
    [
      "that passes conditions over",
      "failing",
      /conditional writes/,
      new (class extends MemoryStore {
        override put(key: string, body: Buffer, _options?: PutOptions) {
          return super.put(key, body);
        }
      })(),
    ],
    [
      "whose listings are not complete",
      "failing",
      /does not list/,
      new (class extends MemoryStore {
        override async *list() {}
      })(),
    ],
  ];
  for (const [what, status, words, store] of cases) {
    test(what, async () => {
      const findings = await checkStore(store, random);
      const found = findings.find(
        (each) => each.status === status && words.test(`${each.message} ${each.advice}`),
      );
      assert(found?.advice !== undefined, JSON.stringify(findings));
    });
  }
});

test("the doctor finds a vault whose folder is not mounted, and makes nothing in its place", async () => {
  const dataDir = folder("with-vault");
  const mounted = folder("mounted");
  const options = readStartOptions(
    { data: dataDir, store: `file://${mounted}`, listen: "127.0.0.1:0", iscsi: "127.0.0.1:0" },
    {},
    undefined,
  );
  const key = Buffer.alloc(32, 7);
  const store = await openStore(options.storeUrl, { clock: systemClock, random });
  const vault = await Vault.open({
    ...{ store, keyFile: key, indexPath: join(root, "index.sqlite"), ownerId: "00".repeat(16) },
    ...{ random, clock: systemClock },
  });
  await vault.close();
  await store.close();
  writeFileSync(join(dataDir, "vault.key"), key, { mode: 0o600 });
  writeFileSync(join(dataDir, "vault-location.json"), JSON.stringify({ storeUrl: options.storeUrl }));
  good((await examine(options)).filter(({ check }) => check === "vault" || check === "bucket"));

  renameSync(mounted, `${mounted}-away`);
  mkdirSync(mounted);
  const away = (await examine(options)).filter(({ status }) => status === "failing");
  assert(away.length > 0 && away.every(({ advice }) => advice !== undefined), JSON.stringify(away));
  assert.match(away.map(({ message, advice }) => `${message} ${advice}`).join(), /mount/);
  assert.deepEqual(readdirSync(mounted), []);
});

test("the doctor of a folder that is not there yet finds nothing wrong, and changes nothing", async () => {
  const dataDir = join(root, "not-yet");
  const options = readStartOptions(
    { data: dataDir, listen: "127.0.0.1:0", iscsi: "127.0.0.1:0" },
    {},
    undefined,
  );
  good(await examine(options));
  assert(!existsSync(dataDir));
});
