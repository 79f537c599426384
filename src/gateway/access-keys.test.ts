import { strict as assert } from "node:assert";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, beforeEach, describe, test } from "node:test";
import { ManualClock } from "../../test/kit/manual-clock.ts";
import { systemRandom } from "../platform/random.ts";
import { systemDisk } from "../platform/system-disk.ts";
import { AccessKeys } from "./access-keys.ts";
import { CredentialsError, parseCredentials } from "./credentials.ts";
import { GatewayError } from "./errors.ts";

const dataDir = mkdtempSync(join(tmpdir(), "sg-keys-"));
const file = join(dataDir, "credentials");
after(() => rmSync(dataDir, { recursive: true, force: true }));
const HOUR_MS = 3600_000;

let clock = new ManualClock();
const open = () => AccessKeys.open({ dataDir, disk: systemDisk, random: systemRandom, clock });
const refuses = (action: () => unknown, detail: RegExp) =>
  assert.throws(action, (error) => error instanceof GatewayError && detail.test(error.message));

beforeEach(() => {
  rmSync(file, { force: true });
  clock = new ManualClock();
});

describe("access keys", () => {
  test("the first start makes one of an administrator, for its owner's eyes only", () => {
    const [key, ...others] = open().list();
    assert.equal(others.length, 0);
    assert.deepEqual([key?.name, key?.role], ["default", "admin"]);
    assert.equal(statSync(file).mode & 0o777, 0o600);
    assert.deepEqual(open().list(), [key], "the next start has the same");
  });

  test("a key that is made works, also after a restart, and is listed without its secret", () => {
    const made = open().create("monitor", "read-only");
    const keys = open();
    assert.deepEqual(keys.find(made.accessKeyId, undefined), {
      state: "good",
      secretAccessKey: made.secretAccessKey,
      identity: { name: "monitor", role: "read-only", isSession: false },
    });
    assert(!JSON.stringify(keys.list()).includes(made.secretAccessKey));
    keys.used(made.accessKeyId);
    assert.equal(keys.list()[1]?.lastUsedAtMs, clock.nowMs());
    refuses(() => keys.create("monitor", "admin"), /already/);
    refuses(() => keys.create("no\n[name]", "admin"), /letters/);
  });

  test("what a person has written into the file stays", () => {
    writeFileSync(
      file,
      "# mine\n[a]\naws_access_key_id=K1\naws_secret_access_key = S1\n# of a\n[b]\nregion = x\n[c]\n" +
        "aws_access_key_id = K3\naws_secret_access_key = S3\nsluicegate_role = read-only\n",
    );
    const keys = open();
    const made = keys.rotate("a", 0);
    keys.create("d", "admin");
    keys.remove("K3");
    const text = readFileSync(file, "utf8");
    assert.match(text, /^# mine\n\[a\]\n/);
    assert.match(text, /\[b\]\nregion = x/);
    assert.deepEqual(
      parseCredentials(text).map(({ name, accessKeyId }) => [name, accessKeyId]),
      [
        ["a", made.accessKeyId],
        ["d", keys.list()[1]?.accessKeyId],
      ],
    );
  });

  test("the last key of an administrator can't be taken away", () => {
    const keys = open();
    keys.create("monitor", "read-only");
    refuses(() => keys.remove("default"), /last one/);
    keys.create("second", "admin");
    keys.remove("default");
    assert.deepEqual(
      open()
        .list()
        .map(({ name }) => name),
      ["monitor", "second"],
    );
    refuses(() => keys.remove("nobody"), /no access key nobody/);
  });

  test("a rotated key: the old pair is good for as long as was said, and then is not", () => {
    const keys = open();
    const [before] = keys.list();
    const made = keys.rotate("default", HOUR_MS);
    assert.notEqual(made.accessKeyId, before?.accessKeyId);
    assert.equal(keys.find(made.accessKeyId, undefined).state, "good");
    assert.equal(keys.find(before?.accessKeyId ?? "", undefined).state, "good");
    clock.advance(HOUR_MS);
    assert.equal(keys.find(before?.accessKeyId ?? "", undefined).state, "expired");
    assert.deepEqual(
      keys.list().map(({ accessKeyId }) => accessKeyId),
      [made.accessKeyId],
    );
    keys.rotate("default", 0);
    assert.equal(keys.find(made.accessKeyId, undefined).state, "unknown");
    assert.equal(parseCredentials(readFileSync(file, "utf8")).length, 1, "what is over is taken out");
  });

  test("a role or a time that can't be understood stops the start", () => {
    const key = "[a]\naws_access_key_id=K1\naws_secret_access_key=S1\n";
    for (const line of ["sluicegate_role = readonly", "sluicegate_expires = soon"]) {
      writeFileSync(file, `${key}${line}\n`);
      assert.throws(open, CredentialsError, line);
    }
    writeFileSync(file, `${key}sluicegate_role = read-only\n`);
    assert.throws(open, CredentialsError, "no administrator");
  });
});

describe("sessions", () => {
  test("are good until their time, for what their key may do, and after a restart", () => {
    const [key] = open().list();
    const session = open().createSession(key?.accessKeyId ?? "", undefined);
    const find = () => open().find(session.accessKeyId, session.sessionToken);
    assert.deepEqual(find(), {
      state: "good",
      secretAccessKey: session.secretAccessKey,
      identity: { name: "default", role: "admin", isSession: true },
    });
    assert.match(session.accessKeyId, /^ASIA[0-9A-F]{16}$/);
    assert.equal(session.expiresAtMs, clock.nowMs() + HOUR_MS);
    clock.advance(HOUR_MS - 1);
    assert.equal(find().state, "good");
    clock.advance(1);
    assert.equal(find().state, "expired");
  });

  test("may have fewer rights than the key, never more", () => {
    const keys = open();
    const [admin] = keys.list();
    const reader = keys.create("monitor", "read-only");
    const role = (id: string, wanted?: "admin" | "read-only") => {
      const { accessKeyId, sessionToken } = keys.createSession(id, wanted);
      const found = keys.find(accessKeyId, sessionToken);
      return found.state === "good" ? found.identity.role : found.state;
    };
    assert.equal(role(admin?.accessKeyId ?? "", "read-only"), "read-only");
    assert.equal(role(reader.accessKeyId), "read-only");
    refuses(() => role(reader.accessKeyId, "admin"), /no more rights/);
    const session = keys.createSession(reader.accessKeyId, undefined);
    refuses(() => keys.createSession(session.accessKeyId, undefined), /can't make another/);
  });

  test("end with their key", () => {
    const keys = open();
    const made = keys.create("second", "admin");
    const session = keys.createSession(made.accessKeyId, undefined);
    keys.remove("second");
    assert.equal(keys.find(session.accessKeyId, session.sessionToken).state, "unknown");
  });

  test("no token but a whole one is believed", () => {
    const keys = open();
    const { accessKeyId, sessionToken } = keys.createSession(keys.list()[0]?.accessKeyId ?? "", "read-only");
    const state = (token: string, id = accessKeyId) => keys.find(id, token).state;
    assert.equal(state(sessionToken), "good");
    assert.equal(state(sessionToken, "ASIA0000000000000000"), "unknown");
    const [payload = "", seal = ""] = sessionToken.split(".");
    const said = JSON.parse(Buffer.from(payload, "base64url").toString());
    const forged = Buffer.from(JSON.stringify({ ...said, role: "admin" })).toString("base64url");
    for (const token of [
      `${forged}.${seal}`,
      payload,
      `${payload}.`,
      `${payload}.${seal}.x`,
      `x${sessionToken}`,
      "",
      "a.b",
      `${Buffer.from("null").toString("base64url")}.${seal}`,
      "A".repeat(100_000),
    ]) {
      assert.equal(state(token), "unknown", token.slice(0, 100));
    }
    assert.equal(keys.find(accessKeyId, undefined).state, "unknown", "without its token");
  });
});
