import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { OptionError, parseHostPort, parseSize, readStartOptions } from "./options.ts";

const folder = mkdtempSync(join(tmpdir(), "sg-options-"));
after(() => rmSync(folder, { recursive: true, force: true }));

describe("options of sluicegate start", () => {
  test("without any: loopback, ./data, the account and region of the documentation", () => {
    const options = readStartOptions({}, {}, undefined);
    assert.deepEqual(options.listen, { host: "127.0.0.1", port: 9060 });
    assert.deepEqual(options.iscsi, [{ host: "127.0.0.1", port: 3260 }]);
    assert.deepEqual(options.iscsiAdvertise, []);
    assert.deepEqual(
      [options.dataDir, options.region, options.accountId],
      ["./data", "us-east-1", "000000000000"],
    );
  });

  test("a flag beats the environment, which beats the file, which beats the default", () => {
    const file = join(folder, "config.yaml");
    writeFileSync(
      file,
      'region: eu-west-1\naccount: "111111111111"\ndata: /from/file\ndevice: [/dev/a, /dev/b]\n',
    );
    const environment = { SLUICEGATE_ACCOUNT: "222222222222", SLUICEGATE_DATA: "/from/environment" };
    const options = readStartOptions({ data: "/from/flag" }, environment, file);
    assert.deepEqual(
      [options.dataDir, options.accountId, options.region, options.devices],
      ["/from/flag", "222222222222", "eu-west-1", ["/dev/a", "/dev/b"]],
    );
  });

  test("several portals, and what discovery shows instead of them", () => {
    const flags = { iscsi: "10.0.0.1:3260, [fd00::1]:3261", "iscsi-advertise": "nas.example.org:3260" };
    const options = readStartOptions(flags, {}, undefined);
    assert.deepEqual(options.iscsi, [
      { host: "10.0.0.1", port: 3260 },
      { host: "fd00::1", port: 3261 },
    ]);
    assert.deepEqual(options.iscsiAdvertise, [{ host: "nas.example.org", port: 3260 }]);
    assert.throws(() => readStartOptions({ iscsi: "10.0.0.1:3260," }, {}, undefined), OptionError);
  });

  test("who comes by one portal is sent to another", () => {
    const rules = "10.0.0.1:3260=10.0.0.2:3260, [fd00::1]:3260/iqn.2026-01.test:db=[fd00::2]:3260";
    assert.deepEqual(readStartOptions({ "iscsi-redirect": rules }, {}, undefined).iscsiRedirect, [
      { from: { host: "10.0.0.1", port: 3260 }, to: { host: "10.0.0.2", port: 3260 } },
      {
        from: { host: "fd00::1", port: 3260 },
        targetName: "iqn.2026-01.test:db",
        to: { host: "fd00::2", port: 3260 },
      },
    ]);
    for (const wrong of ["10.0.0.1:3260", "10.0.0.1:3260=", "10.0.0.1:3260=10.0.0.1:3260", "a=b"]) {
      assert.throws(() => readStartOptions({ "iscsi-redirect": wrong }, {}, undefined), OptionError);
    }
  });

  test("what can't be used is refused with its name", () => {
    const refused = (flags: object, what: RegExp) =>
      assert.throws(
        () => readStartOptions(flags, {}, undefined),
        (error: Error) => error instanceof OptionError && what.test(error.message),
      );
    refused({ account: "12" }, /account/);
    refused({ region: "US East" }, /region/);
    refused({ listen: "9060" }, /listen/);
    refused({ "s3-endpoint": "minio" }, /s3-endpoint/);
    refused({ "cache-size": "many" }, /size/);
    const file = join(folder, "wrong.yaml");
    writeFileSync(file, "regoin: x\n");
    assert.throws(() => readStartOptions({}, {}, file), /no option "regoin"/);
    assert.throws(() => readStartOptions({}, {}, join(folder, "absent.yaml")), /can't be read/);
  });

  test("sizes and addresses", () => {
    assert.equal(parseSize("10GiB"), 10 * 2 ** 30);
    assert.equal(parseSize("512m"), 512 * 2 ** 20);
    assert.equal(parseSize("1073741824"), 2 ** 30);
    for (const text of ["", "GiB", "1.5GiB", "-1", "1 XB", "9999999TiB"])
      assert.throws(() => parseSize(text), OptionError, text);
    assert.deepEqual(parseHostPort("x", "[::1]:80"), { host: "::1", port: 80 });
    for (const text of ["", "host", ":80", "host:", "::1:80", "host:70000"]) {
      assert.throws(() => parseHostPort("x", text), OptionError, text);
    }
  });
});
