/**
 * The clients of a load, in a process of their own: each has one connection that it keeps, asks for one thing, waits for
 * the whole answer, thinks, and asks for the next. Started by `runLoad`; prints its results as one line of JSON.
 */
import { Agent, request } from "node:http";
import { performance } from "node:perf_hooks";
import type { BotoSettings } from "../clients/boto.ts";
import { SeededRandom } from "../kit/seeded-random.ts";
import { type Call, firstCall, type Inventory, json, listVolumes, nextCall, query } from "./mix.ts";
import { CheapSigner } from "./signer.ts";

/** What the process is told in its first argument. */
export interface ClientsOrder {
  readonly settings: BotoSettings;
  readonly clients: number;
  readonly seconds: number;
  /** On average, between an answer and the next request. */
  readonly thinkMs: number;
}

export interface ClientsResult {
  /** Milliseconds of each call, by its name. */
  readonly latenciesMs: Readonly<Record<string, readonly number[]>>;
  readonly errors: readonly string[];
  readonly tookMs: number;
  /** How busy this process was, 0 to 1: near 1 the clients are what is measured. */
  readonly utilization: number;
}

const ERRORS_MAX = 20;
const INVENTORY_PAGES_MAX = 200;
const REQUEST_MS_MAX = 30_000;
/** A client walks so many pages of a list at most before it turns to something else. */
const PAGES_MAX = 10;

class Client {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });
  readonly #settings: BotoSettings;
  readonly #signer: CheapSigner;

  constructor(settings: BotoSettings) {
    this.#settings = settings;
    this.#signer = new CheapSigner(settings);
  }

  /** The body of the answer. Rejects unless its status is 200. */
  call({ name, request: wanted }: Call): Promise<string> {
    const headers = this.#signer.sign(wanted, performance.timeOrigin + performance.now());
    return new Promise((resolve, reject) => {
      const sent = request(
        new URL(wanted.path, this.#settings.endpoint),
        { method: wanted.method, headers, agent: this.#agent, timeout: REQUEST_MS_MAX },
        (response) => {
          const parts: Buffer[] = [];
          response.on("data", (part: Buffer) => parts.push(part));
          response.on("error", reject);
          response.on("end", () => {
            const text = Buffer.concat(parts).toString("utf8");
            if (response.statusCode === 200) resolve(text);
            else reject(new Error(`${name}: ${response.statusCode} ${text.slice(0, 300)}`));
          });
        },
      );
      sent.on("timeout", () => sent.destroy(new Error(`${name}: no answer in ${REQUEST_MS_MAX} ms`)));
      sent.on("error", (error) => reject(new Error(`${name}: ${error.message}`, { cause: error })));
      sent.end(wanted.body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}

async function walk(client: Client, first: Call): Promise<string[]> {
  const answers: string[] = [];
  let call: Call | undefined = first;
  for (let pages = 0; call !== undefined && pages < INVENTORY_PAGES_MAX; pages++) {
    const answer = await client.call(call);
    answers.push(answer);
    call = call.next?.(answer);
  }
  return answers;
}

async function takeInventory(client: Client): Promise<Inventory> {
  interface Listed {
    readonly VolumeInfos: readonly { readonly VolumeARN: string; readonly VolumeType: string }[];
  }
  const volumes = (await walk(client, listVolumes({}))).flatMap(
    (answer) => (JSON.parse(answer) as Listed).VolumeInfos,
  );
  const gateways = JSON.parse(await client.call(json("ListGateways", {}))) as {
    Gateways: readonly { readonly GatewayARN: string }[];
  };
  const snapshots = await walk(client, query("DescribeSnapshots", "pages", { MaxResults: "1000" }));
  const arnsOf = (type: string) =>
    volumes.filter(({ VolumeType }) => VolumeType === type).map(({ VolumeARN }) => VolumeARN);
  return {
    gatewayArns: gateways.Gateways.map(({ GatewayARN }) => GatewayARN),
    storedArns: arnsOf("STORED iSCSI"),
    cachedArns: arnsOf("CACHED iSCSI"),
    snapshotIds: snapshots.flatMap((xml) =>
      [...xml.matchAll(/<snapshotId>([^<]+)</g)].map(([, id]) => id ?? ""),
    ),
  };
}

async function main({ settings, clients, seconds, thinkMs }: ClientsOrder): Promise<ClientsResult> {
  const latenciesMs: Record<string, number[]> = {};
  const errors: string[] = [];
  const all = Array.from({ length: clients }, () => new Client(settings));
  const inventory = await takeInventory(all[0] as Client);
  const startMs = performance.now();
  const endMs = startMs + seconds * 1000;
  const before = performance.eventLoopUtilization();
  await Promise.all(
    all.map(async (client, i) => {
      const random = new SeededRandom(i + 1);
      const below = (n: number) => random.below(n);
      let call: Call | undefined = firstCall(inventory, i, below);
      let pages = 0;
      while (performance.now() < endMs && errors.length < ERRORS_MAX) {
        if (call === undefined || pages >= PAGES_MAX) {
          call = nextCall(inventory, below);
          pages = 0;
        }
        pages += 1;
        const sentMs = performance.now();
        try {
          const answer = await client.call(call);
          const list = latenciesMs[call.name] ?? [];
          list.push(performance.now() - sentMs);
          latenciesMs[call.name] = list;
          call = call.next?.(answer);
        } catch (error) {
          errors.push(error instanceof Error ? error.message : String(error));
          call = undefined;
        }
        // Between half and one and a half of the average, so that the clients don't march in step.
        const pauseMs = thinkMs * (0.5 + below(1000) / 1000);
        if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs));
      }
    }),
  );
  const { utilization } = performance.eventLoopUtilization(before);
  for (const client of all) client.close();
  return { latenciesMs, errors, tookMs: performance.now() - startMs, utilization };
}

const order = JSON.parse(process.argv[2] ?? "{}") as ClientsOrder;
process.stdout.write(`${JSON.stringify(await main(order))}\n`);
