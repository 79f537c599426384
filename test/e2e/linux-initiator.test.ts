/** Debian's Linux kernel and open-iscsi as the initiator, in a small virtual machine. */
import { strict as assert } from "node:assert";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { GatewayProcess } from "../clients/gateway.ts";
import { freePort } from "../servers/free-port.ts";
import { guestImage, guestSkip, HOST, LinuxGuest } from "../servers/linux-guest.ts";
import { makeCached, makeStored } from "./volume-kit.ts";

const INITIATOR = "iqn.1994-05.com.example:guest";
const PREFIX = "iqn.1997-05.com.amazon:";
const IN = "from-initiator";
const OUT = "from-the-target";
/** What iscsiadm ends with where the target did not admit it, and where the target did not prove itself. */
const REFUSED: ReadonlyMap<number | null, string> = new Map([
  [24, "refused by the target"],
  [19, "refused by the initiator"],
]);
const MULTIPATH = `defaults {
  find_multipaths no
  user_friendly_names no
  path_grouping_policy multibus
  no_path_retry queue
  polling_interval 1
}`;
const FIO = "--ioengine=libaio --direct=1 --iodepth=8 --verify=crc32c --verify_fatal=1 --do_verify=1";

describe("Debian's Linux initiator", { skip: guestSkip() }, () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-linux-"));
  let gateway: GatewayProcess;
  let guest: LinuxGuest;
  let portals: readonly string[] = [];
  /** One that sends everybody to the first of the others. */
  let moved = "";
  let chapArn = "";

  before(async () => {
    const ports = [await freePort(), await freePort()];
    const [inside, outside] = ["127.0.0.1", HOST].map((host) => ports.map((port) => `${host}:${port}`));
    assert(inside && outside);
    portals = outside;
    const movedPort = await freePort();
    moved = `${HOST}:${movedPort}`;
    const movedInside = `127.0.0.1:${movedPort}`;
    gateway = new GatewayProcess(join(folder, "data"), [
      ...["--iscsi", [...inside, movedInside].join(","), "--iscsi-advertise", outside.join(",")],
      ...["--iscsi-redirect", `${movedInside}=${outside[0]}`],
    ]);
    const image = await guestImage();
    await gateway.start();
    await makeStored(gateway, "one");
    await makeCached(gateway, "two");
    chapArn = await makeCached(gateway, "three");
    guest = await LinuxGuest.boot(image, folder);
    await guest.ok(`
      echo InitiatorName=${INITIATOR} > /etc/iscsi/initiatorname.iscsi
      iscsid
      printf '%s\\n' '${MULTIPATH}' > /etc/multipath.conf
      mkdir -p /etc/multipath /mnt/one /mnt/two`);
  });
  after(async () => {
    await guest?.close();
    await gateway?.kill();
    rmSync(folder, { recursive: true, force: true });
  });

  test("discovery shows every target at every portal", async () => {
    const found = await guest.ok(`iscsiadm -m discovery -t sendtargets -p ${portals[0]}`);
    const wanted = ["one", "two", "three"].flatMap((name) => portals.map((p) => `${p},1 ${PREFIX}${name}`));
    assert.deepEqual(found.trim().split("\n").sort(), wanted.sort());
  });

  test("CHAP: admitted with the right secrets only, and the target has to prove itself too", async () => {
    const { CachediSCSIVolumes } = await gateway.boto.gateway("describe_cached_iscsi_volumes", {
      VolumeARNs: [chapArn],
    });
    await gateway.boto.gateway("update_chap_credentials", {
      TargetARN: CachediSCSIVolumes[0].VolumeiSCSIAttributes.TargetARN,
      InitiatorName: INITIATOR,
      SecretToAuthenticateInitiator: IN,
      SecretToAuthenticateTarget: OUT,
    });
    const node = `iscsiadm -m node -T ${PREFIX}three -p ${portals[0]}`;
    const login = async (settings: Readonly<Record<string, string>>) => {
      const updates = Object.entries(settings).map(
        ([name, value]) => `${node} -o update -n node.session.auth.${name} -v '${value}'`,
      );
      const { status, output } = await guest.run(`${updates.join("\n")}\n${node} --login`);
      return status === 0 ? "admitted" : (REFUSED.get(status) ?? output);
    };
    assert.equal(await login({}), "refused by the target", "without CHAP");
    const oneWay = { authmethod: "CHAP", username: INITIATOR, password: IN };
    assert.equal(await login({ ...oneWay, password: "from-initiatoR" }), "refused by the target");
    assert.equal(await login(oneWay), "admitted");
    await guest.ok(`${node} --logout`);
    assert.equal(await login({ password_in: "from-the-targeT" }), "refused by the initiator");
    for (const algorithm of ["MD5", "SHA256", "SHA3-256"]) {
      const mutual = { password_in: OUT, username_in: `${PREFIX}three`, chap_algs: algorithm };
      assert.equal(await login(mutual), "admitted", algorithm);
      await guest.ok(`${node} --logout`);
    }
  });

  test("a login by a portal that has moved is sent to another, and stays there", async () => {
    const node = `iscsiadm -m node -T ${PREFIX}two -p ${moved}`;
    const session = await guest.ok(`
      ${node} -o new > /dev/null
      ${node} --login > /dev/null
      iscsiadm -m session -P 1 | grep Portal`);
    assert.match(session, new RegExp(`Current Portal: ${portals[0]}`));
    assert.match(session, new RegExp(`Persistent Portal: ${moved}`));
    await guest.ok(`${node} --logout; ${node} -o delete`);
  });

  test("multipath: two portals, one of them with digests, one disk", async () => {
    await guest.ok(`
      for name in HeaderDigest DataDigest; do
        iscsiadm -m node -p ${portals[1]} -T ${PREFIX}one -o update -n "node.conn[0].iscsi.$name" -v CRC32C
      done
      for name in one two; do iscsiadm -m node -T ${PREFIX}$name --login; done
      udevadm settle`);
    const sessions = await guest.ok("iscsiadm -m session -P 2 | grep -c 'DataDigest: CRC32C'");
    assert.equal(sessions.trim(), "1");
    const maps = await guest.ok(`
      multipathd > /run/multipathd.log 2>&1
      for try in $(seq 100); do
        [ "$(multipath -ll 2>/run/multipath.err | grep -c 'active ready running')" = 4 ] && break
        sleep 0.2
      done
      udevadm settle
      for session in /sys/class/iscsi_session/session*; do
        holder=$(basename "$session"/device/target*/*/block/*/holders/dm-*)
        echo "$(sed 's/.*://' "$session/targetname") /dev/$holder"
      done | sort`);
    // Each volume's two paths have become one disk.
    const lines = maps.trim().split("\n");
    assert.equal(lines.length, 4, maps);
    const disks = new Map(lines.map((line) => line.split(" ") as [string, string]));
    assert.deepEqual(new Set(lines), new Set([...disks].map((pair) => pair.join(" "))), maps);
    assert.equal(new Set(disks.values()).size, 2, maps);
    await guest.ok(`ln -s ${disks.get("one")} /dev/one; ln -s ${disks.get("two")} /dev/two`);
  });

  test("ext4 and xfs: made, mounted, written and verified, trimmed, and clean", async () => {
    await guest.ok(
      "mkfs.ext4 -q /dev/one; mkfs.xfs -q /dev/two; mount /dev/one /mnt/one; mount /dev/two /mnt/two",
    );
    await guest.ok(`
      fio --name=small --directory=/mnt/one --size=8m --rw=randwrite --bs=4k ${FIO}
      fio --name=mixed --directory=/mnt/two --size=16m --rw=randrw --bsrange=4k-1m ${FIO}
      rm /mnt/one/small* /mnt/two/mixed*
      sync
      fstrim /mnt/one
      fstrim /mnt/two
      head -c 8M /dev/urandom > /mnt/one/kept
      cp /mnt/one/kept /mnt/two/kept
      sync`);
    await clean();
  });

  test("kill -9 of the gateway under I/O: it goes on, and nothing is lost", async () => {
    await underLoad(() => gateway.crash());
    await clean();
  });

  test("a clean restart under I/O: initiators are asked to log out, and come back", async () => {
    await underLoad(async () => {
      assert.equal((await gateway.stop()).code, 0);
      await gateway.start();
    });
    await clean();
  });

  test("persistent reservations hold against another initiator port, and through kill -9", async () => {
    await guest.ok(`
      umount /mnt/one
      umount /mnt/two`);
    const paths = (await guest.ok("basename -a /sys/block/$(basename $(readlink /dev/one))/slaves/*")).trim();
    const [held = "", other = ""] = paths.split("\n").map((path) => `/dev/${path}`);
    await guest.ok(`
      sg_persist --out --register --param-sark=abc1 --param-aptpl ${held}
      sg_persist --out --register --param-sark=abc2 --param-aptpl ${other}
      sg_persist --out --reserve --param-rk=abc1 --prout-type=1 ${held}
      dd if=/dev/zero of=${held} bs=4096 count=1 seek=1000 oflag=direct conv=notrunc`);
    const write = `dd if=/dev/zero of=${other} bs=4096 count=1 seek=1000 oflag=direct conv=notrunc`;
    assert.notEqual((await guest.run(write)).status, 0, "a write beside a Write Exclusive reservation");
    await gateway.crash();
    const kept = await guest.ok(`
      for try in $(seq 200); do sg_persist --in --read-keys ${held} > /run/keys && break; sleep 0.2; done
      cat /run/keys
      sg_persist --in --read-reservation ${held}`);
    for (const key of ["0xabc1", "0xabc2"]) assert(kept.includes(key), kept);
    assert.match(kept, /type: Write Exclusive/);
    assert.notEqual((await guest.run(write)).status, 0, "after the restart too");
    await guest.ok(`sg_persist --out --clear --param-rk=abc1 ${held}`);
  });

  test("sg3_utils: what an administrator asks a disk, and what it answers", async () => {
    const path = async (name: string) => {
      const found = await guest.ok(`basename -a /sys/block/$(basename $(readlink /dev/${name}))/slaves/*`);
      return `/dev/${found.split("\n")[0]}`;
    };
    const [one, two] = [await path("one"), await path("two")];
    const told = await guest.ok(`
      for command in "sg_vpd -a" "sg_modes -a" "sg_logs -a" "sg_opcodes -R -m" "sg_senddiag -t"; do
        $command ${one}
      done`);
    for (const line of [
      "block -> block",
      "thin provisioned",
      "Informational Exceptions",
      "Write same\\(16\\)",
    ])
      assert.match(told, new RegExp(line), told);
    // Zeros become the first block of a random file, once; then the first MiB of one volume goes to the other.
    await guest.ok(`
      head -c 512 /dev/urandom > /run/block
      head -c 512 /dev/zero > /run/zeros
      cat /run/zeros /run/block > /run/swap
      sg_unmap --force --lba=0 --num=64 ${one}
      sg_compare_and_write --in=/run/swap --lba=0 --num=1 --xferlen=1024 ${one}
      sg_verify --lba=0 --count=1 --bytchk=1 --ndo=512 --in=/run/block ${one}
      sg_write_same --16 --lba=8 --num=64 --in=/run/block --xferlen=512 ${one}
      sg_xcopy if=${one} of=${two} bs=512 count=2048
      sg_get_lba_status --lba=0 --maxlen=64 ${one}
      for disk in ${one} ${two}; do
        dd if=$disk bs=1M count=1 iflag=direct 2> /dev/null | sha256sum
      done | uniq | wc -l | grep -x 1`);
    /** [command, its exit status, what it says] */
    const refused: readonly [string, number, RegExp][] = [
      [`sg_compare_and_write --in=/run/swap --lba=0 --num=1 --xferlen=1024 ${one}`, 14, /byte offset: 0/],
      [`sg_raw -r 512 ${one} 28 20 00 00 00 00 00 00 01 00`, 5, /Error in Command: byte 1 bit 7/],
      [`sg_raw -r 512 ${one} 28 00 00 20 00 00 00 00 01 00`, 22, /Info fld=0x200000 /],
      [`sg_raw ${one} 04 00 00 00 00 00`, 9, /Invalid command operation code/],
    ];
    for (const [command, status, says] of refused) {
      const outcome = await guest.run(command);
      assert.equal(outcome.status, status, `${command}: ${outcome.output}`);
      assert.match(outcome.output, says);
    }
  });

  test("logs out of everything", async () => {
    await guest.ok("iscsiadm -m node -U all");
    assert.notEqual((await guest.run("iscsiadm -m session")).status, 0, "a session is left");
  });

  /** Both file systems are whole, and hold the same file that they were given. */
  async function clean(): Promise<void> {
    await guest.ok(`
      umount /mnt/one
      umount /mnt/two
      fsck.ext4 -fn /dev/one
      xfs_repair -n /dev/two
      mount /dev/one /mnt/one
      mount /dev/two /mnt/two
      echo 3 > /proc/sys/vm/drop_caches
      [ "$(sha256sum < /mnt/one/kept)" = "$(sha256sum < /mnt/two/kept)" ]`);
  }

  /** Writes to both volumes, with `action` in the midst of it; then all that was written has to be there. */
  async function underLoad(action: () => Promise<void>): Promise<void> {
    await guest.ok(`
      rm -f /mnt/*/load* /run/*.status
      for name in one two; do
        (
          fio --name=load --directory=/mnt/$name --size=16m --rw=randwrite --bs=8k ${FIO} > /run/$name.log 2>&1
          echo $? > /run/$name.status
        ) &
      done
      # Until the gateway has had something to do: the files are laid out, and writes go to both disks.
      for try in $(seq 300); do
        [ -s /mnt/one/load.0.0 ] && [ -s /mnt/two/load.0.0 ] && break
        sleep 0.1
      done
      before=$(cat "/sys/block/$(basename "$(readlink /dev/two)")/stat")
      for try in $(seq 300); do
        [ "$(cat "/sys/block/$(basename "$(readlink /dev/two)")/stat")" != "$before" ] && break
        sleep 0.1
      done`);
    assert.notEqual((await guest.run("cat /run/one.status /run/two.status")).status, 0, "no load is left");
    await action();
    const done = await guest.ok(
      `for try in $(seq 400); do [ -s /run/one.status ] && [ -s /run/two.status ] && break; sleep 0.25; done
       cat /run/one.log /run/two.log
       cat /run/one.status /run/two.status`,
      150_000,
    );
    assert.match(done, /\n0\n0\n$/);
  }
});
