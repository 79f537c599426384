/**
 * Peers that know the protocol and break it: each logs in (or does not), sends a few PDUs that are nearly right, in
 * pieces of any size, and goes. What has to hold meanwhile is checked by `fuzzTarget`.
 */
import { strict as assert } from "node:assert";
import type { RawInitiator } from "../kit/raw-initiator.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { NAME, OTHER, RESPONSE, type TargetKit } from "../kit/target-kit.ts";

const LENGTHS = [0, 1, 4, 48, 511, 512, 513, 4096, 8192, 65535, 65536, 262_144, 2 ** 24, 2 ** 31, 0xffffffff];
const NUMBERS = [0, 1, 2, 7, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff];
/** Opcodes of SPC and SBC: what the target knows, and some that it does not. */
const COMMANDS = [
  ...[0x00, 0x03, 0x04, 0x08, 0x0a, 0x12, 0x15, 0x16, 0x17, 0x1a, 0x1b, 0x1e, 0x25, 0x28, 0x2a, 0x2e, 0x2f],
  ...[0x34, 0x35, 0x41, 0x42, 0x48, 0x4d, 0x55, 0x5a, 0x5e, 0x5f, 0x7f, 0x83, 0x84, 0x88, 0x89, 0x8a, 0x8b],
  ...[0x8e, 0x8f, 0x90, 0x91, 0x93, 0x9c, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xae, 0xaf, 0xb7, 0xff],
];
const KEYS = [
  ...["HeaderDigest=CRC32C,None", "DataDigest=None", "InitialR2T=No", "InitialR2T=Yes", "ImmediateData=No"],
  ...["MaxBurstLength=512", "MaxBurstLength=0", "FirstBurstLength=16777215", "MaxOutstandingR2T=65535"],
  ...[
    "MaxRecvDataSegmentLength=512",
    "MaxRecvDataSegmentLength=1",
    "ErrorRecoveryLevel=2",
    "AuthMethod=CHAP",
  ],
  ...["CHAP_A=5", "CHAP_R=0x", "X-nothing=", "=", "SessionType=Discovery", "TaskReporting=FastAbort"],
];
const ACTIONS_MAX = 12;
const STEADY_BLOCKS = 64;

export interface FuzzResult {
  readonly rounds: number;
  /** How many PDUs the target has answered in all: a fuzzer that is never answered tests nothing. */
  readonly answers: number;
}

/**
 * Runs `rounds` peers from `seed` on against the kit's target, a few at a time. Rejects where another session is not
 * served, an internal error shows, or something of a peer is left behind.
 */
export async function fuzzTarget(kit: TargetKit, seed: number, rounds: number): Promise<FuzzResult> {
  const steady = await kit.loggedIn("steady", [], OTHER);
  let answers = 0;
  const random = new SeededRandom(seed);
  for (let round = 0; round < rounds; ) {
    const peers: Promise<number>[] = [];
    for (let i = random.below(4) + 1; i > 0 && round < rounds; i--) {
      peers.push(onePeer(kit, new SeededRandom(seed * 1_000_003 + round)));
      round += 1;
    }
    for (const count of await Promise.all(peers)) answers += count;
    kit.device.inline = random.chance(0.7);
    await isServed(steady, round);
    await allGone(kit);
    const internal = kit.events.find(({ reason }) => reason?.startsWith("internal"));
    assert.equal(internal, undefined, `seed ${seed}, round ${round}: ${internal?.reason}`);
    kit.events.length = 0;
  }
  steady.close();
  return { rounds, answers };
}

async function isServed(steady: RawInitiator, tag: number): Promise<void> {
  steady.read10(tag, 0, STEADY_BLOCKS);
  for (;;) {
    const { opcode, bhs } = await steady.next();
    if (opcode === RESPONSE.nopIn) continue;
    assert.deepEqual([opcode, bhs.readUInt32BE(16)], [RESPONSE.dataIn, tag]);
    if ((bhs.readUInt8(1) & 0x01) !== 0) return;
  }
}

async function allGone(kit: TargetKit): Promise<void> {
  for (let turn = 0; kit.target.connectionCount > 1 || kit.target.buffers.usedBytes > 0; turn++) {
    const left = `${kit.target.connectionCount} connections, ${kit.target.buffers.usedBytes} bytes`;
    assert(turn < 50_000, `left behind: ${left}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

async function onePeer(kit: TargetKit, random: SeededRandom): Promise<number> {
  const peer = await kit.connect();
  // An error on the way (the target has closed already) is an end like any other.
  const closed = new Promise<void>((resolve) => peer.socket.once("close", () => resolve()));
  if (random.chance(0.9)) {
    const keys = Array.from({ length: random.below(5) }, () => random.pick(KEYS));
    const digests = random.chance(0.2) ? ["HeaderDigest=CRC32C", "DataDigest=CRC32C"] : [];
    const isid = random.chance(0.2) ? 7 : random.below(0xffffff);
    peer.isid = isid;
    // A refused login is an answer too; so is a dropped connection.
    await peer.login(`iqn.2026-01.test:fuzz-${random.below(3)}`, NAME, [...digests, ...keys]).catch(() => 0);
  }
  if (random.chance(0.1)) peer.socket.pause();
  for (let i = random.below(ACTIONS_MAX) + 1; i > 0 && !peer.socket.destroyed; i--) {
    act(peer, random);
    // Sometimes the target gets a turn, and R2Ts may come back.
    if (random.chance(0.5)) await new Promise((resolve) => setImmediate(resolve));
  }
  peer.socket.resume();
  if (random.chance(0.3)) peer.close();
  else peer.socket.end();
  await closed;
  return peer.receivedCount;
}

function act(peer: RawInitiator, random: SeededRandom): void {
  const what = random.below(10);
  if (what < 4) write(peer, random, command(peer, random));
  else if (what === 4) write(peer, random, dataOut(peer, random));
  else if (what === 5) peer.manage(random.below(20), random.below(12), random.below(20), random.below(2));
  else if (what === 6) write(peer, random, text(peer, random));
  else if (what === 7) write(peer, random, ping(peer, random));
  else if (what === 8) write(peer, random, random.bytes(random.below(300)));
  else write(peer, random, flipped(random, command(peer, random)));
}

function command(peer: RawInitiator, random: SeededRandom): Buffer {
  const flags = random.pick([0x80, 0x81, 0xc1, 0xa1, 0x21, 0xe1, 0x41, random.below(256)]);
  const bhs = peer.header(random.chance(0.1) ? 0x41 : 0x01, flags, random.below(20));
  const cdb = random.chance(0.5) ? random.bytes(16) : Buffer.alloc(16);
  cdb.writeUInt8(random.pick(COMMANDS), 0);
  if (random.chance(0.7)) {
    cdb.writeUInt32BE(random.chance(0.8) ? random.below(40_000) : random.pick(NUMBERS), 2);
    cdb.writeUInt16BE(random.below(64), 7);
  }
  cdb.copy(bhs, 32);
  if (random.chance(0.05)) bhs.writeUInt8(random.below(4), 9);
  bhs.writeUInt32BE(random.chance(0.6) ? random.below(64) * 512 : random.pick(LENGTHS), 20);
  return withData(peer, random, bhs, random.chance(0.6) ? 0 : random.below(9000));
}

/** The answer to an R2T that has come, or nearly; without one, data that nobody wants. */
function dataOut(peer: RawInitiator, random: SeededRandom): Buffer {
  const r2t = peer.lastR2T;
  const [tag, transferTag, offset, wanted] =
    r2t === undefined
      ? [random.below(20), random.pick(NUMBERS), random.pick(NUMBERS), random.below(5000)]
      : [16, 20, 40, 44].map((at) => r2t.readUInt32BE(at));
  const length = Math.min(wanted ?? 0, 262_144);
  const header = peer.dataOutHeader(tag ?? 0, transferTag ?? 0, 0, offset ?? 0, length);
  if (random.chance(0.3)) header.writeUInt32BE(random.pick(NUMBERS), random.pick([16, 20, 36, 40]));
  return withData(peer, random, header, length);
}

function text(peer: RawInitiator, random: SeededRandom): Buffer {
  const bhs = peer.header(0x04, random.pick([0x80, 0x40, 0x00, 0xc0]), random.below(20));
  bhs.writeUInt32BE(random.pick([0xffffffff, 1, ...NUMBERS]), 20);
  const words = ["SendTargets=All\0", "SendTargets=\0", `SendTargets=${NAME}\0`, "Send", "\0\0", "=1\0"];
  const said = Array.from({ length: random.below(5) }, () => random.pick([...words, ...KEYS])).join("");
  bhs.writeUIntBE(said.length, 5, 3);
  return peer.encode(bhs, Buffer.from(said));
}

function ping(peer: RawInitiator, random: SeededRandom): Buffer {
  const opcode = random.pick([0x00, 0x40, 0x06, 0x46, 0x10, 0x03, 0x3f]);
  const bhs = peer.header(opcode, random.pick([0x80, 0x82, 0x81]), random.pick([1, 0xffffffff]));
  bhs.writeUInt32BE(random.pick(NUMBERS), 20);
  return withData(peer, random, bhs, random.below(600));
}

function withData(peer: RawInitiator, random: SeededRandom, bhs: Buffer, length: number): Buffer {
  const data = length > 20_000 ? Buffer.alloc(length, random.below(256)) : random.bytes(length);
  bhs.writeUIntBE(length, 5, 3);
  if (random.chance(0.05)) peer.badDigests.add(random.pick(["header", "data"] as const));
  return peer.encode(bhs, data);
}

function flipped(random: SeededRandom, bytes: Buffer): Buffer {
  for (let i = random.below(4) + 1; i > 0; i--) {
    const at = random.below(random.chance(0.8) ? 48 : bytes.length);
    bytes.writeUInt8(bytes.readUInt8(at) ^ (1 << random.below(8)), at);
  }
  return bytes;
}

/** Whole, in pieces, or not to its end. */
function write(peer: RawInitiator, random: SeededRandom, bytes: Buffer): void {
  if (peer.socket.destroyed || !peer.socket.writable) return;
  const end = random.chance(0.05) ? random.below(bytes.length + 1) : bytes.length;
  const pieces = random.chance(0.2) ? random.below(20) + 2 : 1;
  for (let i = 0; i < pieces; i++) {
    const part = bytes.subarray(Math.floor((i * end) / pieces), Math.floor(((i + 1) * end) / pieces));
    if (part.length > 0) peer.socket.write(part);
  }
}
