/**
 * What the machine gives at most: a server that knows no protocol, only TCP over loopback and one pread or pwrite a
 * request. It gets a block of bytes for each request and answers with one, in one thread, in the shape of iSCSI's: 48
 * bytes and the data. Runs in a thread of its own; its client keeps `depth` requests under way.
 */
import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { isMainThread, parentPort, Worker, workerData } from "node:worker_threads";
import { systemClock } from "../src/platform/clock.ts";

export interface FloorWork {
  readonly path: string;
  readonly fileBytes: number;
  readonly write: boolean;
  readonly requestBytes: number;
  readonly depth: number;
  readonly count: number;
}

export interface FloorResult {
  readonly ioPerSecond: number;
  /** CPU time of the server's thread for one I/O, microseconds. */
  readonly cpuUs: number;
}

const HEADER_BYTES = 48;
const STEP = 7919;
const SLAB_BYTES = 2 * 1024 * 1024;
const RECEIVE_BYTES = 256 * 1024;

/** Runs the work once. */
export async function runFloor(work: FloorWork): Promise<FloorResult> {
  const worker = new Worker(new URL(import.meta.url), { workerData: work });
  try {
    const port = await message<number>(worker);
    const seconds = await request(port, work);
    worker.postMessage("end");
    const cpuUs = await message<number>(worker);
    return { ioPerSecond: work.count / seconds, cpuUs: cpuUs / work.count };
  } finally {
    await worker.terminate();
  }
}

function message<T>(worker: Worker): Promise<T> {
  return new Promise((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
}

/** Sends all requests; how many seconds it took. */
function request(port: number, { write, requestBytes, depth, count }: FloorWork): Promise<number> {
  const outBytes = HEADER_BYTES + (write ? requestBytes : 0);
  const inBytes = HEADER_BYTES + (write ? 0 : requestBytes);
  const out = Buffer.alloc(outBytes * depth, 1);
  let sent = 0;
  let receivedBytes = 0;
  let startMs = 0;
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({
      port,
      host: "127.0.0.1",
      noDelay: true,
      onread: {
        buffer: Buffer.allocUnsafeSlow(RECEIVE_BYTES),
        callback: (bytes) => {
          const before = Math.floor(receivedBytes / inBytes);
          receivedBytes += bytes;
          const done = Math.floor(receivedBytes / inBytes);
          const more = Math.min(done - before, count - sent);
          if (more > 0) {
            sent += more;
            socket.write(out.subarray(0, more * outBytes));
          }
          if (done >= count) {
            socket.destroy();
            resolve((systemClock.monotonicMs() - startMs) / 1000);
          }
          return true;
        },
      },
    });
    socket.once("error", reject);
    socket.once("connect", () => {
      startMs = systemClock.monotonicMs();
      sent = Math.min(depth, count);
      socket.write(out.subarray(0, sent * outBytes));
    });
  });
}

function serve({ path, fileBytes, write, requestBytes }: FloorWork): void {
  const fd = openSync(path, "r+");
  const slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  const input = Buffer.alloc(requestBytes);
  const blocks = Math.floor(fileBytes / requestBytes);
  const outBytes = HEADER_BYTES + (write ? 0 : requestBytes);
  const inBytes = HEADER_BYTES + (write ? requestBytes : 0);
  const cpuBefore = process.threadCpuUsage();
  const server = createServer({ pauseOnConnect: true, noDelay: true }, (accepted) => {
    let pending = 0;
    let served = 0;
    accepted.on("error", () => {});
    accepted.on("data", (chunk: Buffer) => {
      pending += chunk.length;
      let used = 0;
      for (; pending >= inBytes; pending -= inBytes) {
        const at = ((served * STEP) % blocks) * requestBytes;
        served += 1;
        if (used + outBytes > SLAB_BYTES) {
          accepted.write(Buffer.from(slab.subarray(0, used)));
          used = 0;
        }
        if (write) writeSync(fd, input, 0, requestBytes, at);
        else readSync(fd, slab, used + HEADER_BYTES, requestBytes, at);
        used += outBytes;
      }
      // The slab is filled again at once: what the system has not taken yet would change under it.
      if (used > 0)
        accepted.write(
          accepted.writableLength === 0 ? slab.subarray(0, used) : Buffer.from(slab.subarray(0, used)),
        );
    });
    accepted.resume();
  });
  server.listen(0, "127.0.0.1", () => parentPort?.postMessage((server.address() as { port: number }).port));
  parentPort?.once("message", () => {
    const { user, system } = process.threadCpuUsage(cpuBefore);
    closeSync(fd);
    server.close();
    parentPort?.postMessage(user + system);
  });
}

if (!isMainThread && workerData !== null) serve(workerData as FloorWork);
