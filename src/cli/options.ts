/** The options of `sluicegate start`: from the command line, the environment, a config file, or the defaults. */
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { DEFAULT_THINNING, parseThinningRule } from "../gateway/thinning.ts";
import { whyNotEvents, whyNotStore } from "../server-option-checks.ts";
import type { HostPort, StartOptions } from "../server-options.ts";

/** Something that was said can't be used; the message says what and where. */
export class OptionError extends Error {
  override readonly name = "OptionError";
}

/** What can be set, by its name on the command line; in the environment `SLUICEGATE_` and capitals. */
export const START_OPTIONS = {
  data: "folder for everything the gateway keeps here",
  listen: "address of the API, HOST:PORT",
  iscsi: "address of the iSCSI target, HOST:PORT (several: a comma between them)",
  "iscsi-advertise": "address that iSCSI discovery shows instead, HOST:PORT (several: a comma between them)",
  "iscsi-redirect":
    "sends who logs in by one portal to another, FROM=TO or FROM/TARGET=TO (several: a comma between them)",
  store: "the vault: file:///folder or s3://bucket/prefix",
  "s3-endpoint": "URL of an S3 server other than AWS's",
  "s3-region": "region of the bucket",
  region: "region in ARNs and signatures",
  account: "account number in ARNs",
  device: "a block device that is a local disk (several: a comma between them)",
  "cache-size": "size of the first cache disk",
  "upload-buffer-size": "size of the first upload-buffer disks",
  "keep-recovery-points": "which recovery points stay: AGE or AGE/STEP, by growing age",
  "webhook-url": "URL that is told what comes about, such as failed snapshots",
  "webhook-secret-file": "file whose first line is the secret that signs what is told",
  "webhook-events": "only these events (a comma between them)",
  "log-level": "trace, debug, info, warn, error or silent",
  "log-format": "json, text (for people), or auto: text on a terminal",
} as const;

export type StartOptionName = keyof typeof START_OPTIONS;
type Given = Partial<Record<StartOptionName, string>>;

const DEFAULTS: Record<
  Exclude<
    StartOptionName,
    | "store"
    | "iscsi-advertise"
    | "iscsi-redirect"
    | "s3-endpoint"
    | "s3-region"
    | "device"
    | "webhook-url"
    | "webhook-secret-file"
    | "webhook-events"
  >,
  string
> = {
  data: "./data",
  listen: "127.0.0.1:9060",
  iscsi: "127.0.0.1:3260",
  region: "us-east-1",
  account: "000000000000",
  "cache-size": "20GiB",
  "upload-buffer-size": "10GiB",
  "keep-recovery-points": DEFAULT_THINNING,
  "log-level": "warn",
  "log-format": "auto",
};

const LOG_LEVELS = ["trace", "debug", "info", "warn", "error", "fatal", "silent"];
const LOG_FORMATS = ["json", "text", "auto"];

/** Puts the sources together: a flag beats the environment, which beats the config file, which beats the default. */
export function readStartOptions(
  flags: Given,
  environment: Readonly<Record<string, string | undefined>>,
  configPath: string | undefined,
): StartOptions {
  const given = gatherOptions(flags, environment, configPath);
  return startOptionsOf((name) => given.get(name)?.value);
}

/** What was said of an option, and where. */
export interface GatheredOption {
  readonly value: string;
  /** `--listen`, `SLUICEGATE_LISTEN`, the path of the file, or `default`. */
  readonly from: string;
}

/** The options that have a value, each from the first source that names it. */
export function gatherOptions(
  flags: Given,
  environment: Readonly<Record<string, string | undefined>>,
  configPath: string | undefined,
): Map<StartOptionName, GatheredOption> {
  const config = configPath === undefined ? {} : readConfig(configPath);
  const found = new Map<StartOptionName, GatheredOption>();
  for (const name of Object.keys(START_OPTIONS) as StartOptionName[]) {
    const sources: readonly (readonly [value: string | undefined, from: string])[] = [
      [flags[name], `--${name}`],
      [environment[environmentName(name)], environmentName(name)],
      [config[name], configPath ?? ""],
      [(DEFAULTS as Given)[name], "default"],
    ];
    const first = sources.find(([value]) => value !== undefined);
    if (first?.[0] !== undefined) found.set(name, { value: first[0], from: first[1] });
  }
  return found;
}

/** The options of a start as these values have them. Throws an OptionError for the first that can't be meant. */
export function startOptionsOf(get: (name: StartOptionName) => string | undefined): StartOptions {
  const need = (name: keyof typeof DEFAULTS): string => get(name) ?? DEFAULTS[name];
  const account = need("account");
  if (!/^\d{12}$/.test(account)) throw new OptionError(`account: "${account}" is not a number of 12 digits`);
  const region = need("region");
  if (!/^[a-z0-9-]{1,25}$/.test(region)) throw new OptionError(`region: "${region}" is no region's name`);
  const s3Endpoint = get("s3-endpoint");
  if (s3Endpoint !== undefined && !URL.canParse(s3Endpoint)) {
    throw new OptionError(`s3-endpoint: "${s3Endpoint}" is not a URL`);
  }
  const store = get("store") ?? "";
  const noStore = whyNotStore(store);
  if (noStore !== undefined) throw new OptionError(`store: ${noStore}`);
  const s3Region = get("s3-region");
  const advertised = get("iscsi-advertise");
  const webhook = webhookOf(get);
  return {
    dataDir: need("data"),
    listen: parseHostPort("listen", need("listen")),
    iscsi: parsePortals("iscsi", need("iscsi")),
    iscsiAdvertise: advertised === undefined ? [] : parsePortals("iscsi-advertise", advertised),
    iscsiRedirect: redirectsOf(get("iscsi-redirect") ?? ""),
    storeUrl: store,
    region,
    accountId: account,
    devices: (get("device") ?? "").split(",").filter((path) => path !== ""),
    cacheSizeBytes: parseSize(need("cache-size")),
    uploadBufferSizeBytes: parseSize(need("upload-buffer-size")),
    keepRecoveryPoints: thinningRule(need("keep-recovery-points")),
    logLevel: oneOf("log-level", need("log-level"), LOG_LEVELS),
    logFormat: logFormatOf(oneOf("log-format", need("log-format"), LOG_FORMATS)),
    ...(s3Endpoint !== undefined && { s3Endpoint }),
    ...(s3Region !== undefined && { s3Region }),
    ...(webhook !== undefined && { webhook }),
  };
}

/** `FROM=TO` and `FROM/TARGET=TO`: portals, and the name of the one target that is meant. */
function redirectsOf(text: string): StartOptions["iscsiRedirect"] {
  return text
    .split(",")
    .filter((rule) => rule.trim() !== "")
    .map((rule) => {
      const match = /^([^/=]+)(?:\/([^=]+))?=([^=]+)$/.exec(rule.trim());
      if (match === null) throw new OptionError(`iscsi-redirect: "${rule}" is not FROM=TO or FROM/TARGET=TO`);
      const [, from = "", targetName, to = ""] = match;
      if (from === to) throw new OptionError(`iscsi-redirect: "${rule}" leads to itself`);
      const portals = {
        from: parseHostPort("iscsi-redirect", from),
        to: parseHostPort("iscsi-redirect", to),
      };
      return { ...portals, ...(targetName !== undefined && { targetName }) };
    });
}

function oneOf(name: StartOptionName, value: string, known: readonly string[]): string {
  if (!known.includes(value)) throw new OptionError(`${name}: "${value}" is none of ${known.join(", ")}`);
  return value;
}

function logFormatOf(said: string): "json" | "text" {
  if (said === "auto") return process.stderr.isTTY ? "text" : "json";
  return said === "text" ? "text" : "json";
}

function webhookOf(get: (name: StartOptionName) => string | undefined): StartOptions["webhook"] {
  const url = get("webhook-url");
  if (url === undefined) return undefined;
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw new OptionError("webhook-url: it is not the URL of a web server");
  const secretFile = get("webhook-secret-file");
  const events = get("webhook-events")
    ?.split(",")
    .map((name) => name.trim());
  const noEvents = whyNotEvents(events ?? []);
  if (noEvents !== undefined) throw new OptionError(`webhook-events: ${noEvents}`);
  return {
    url,
    ...(secretFile !== undefined && { secret: firstLine(secretFile) }),
    ...(events !== undefined && { events }),
  };
}

function firstLine(path: string): string {
  let line: string | undefined;
  try {
    line = readFileSync(path, "utf8").split(/\r?\n/)[0];
  } catch (error) {
    throw new OptionError(`${path} can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (line === undefined || line === "") throw new OptionError(`${path}: its first line is empty`);
  return line;
}

/** Checks the rule; it is read again where it is used. */
function thinningRule(text: string): string {
  try {
    parseThinningRule(text);
    return text;
  } catch (error) {
    throw new OptionError(`keep-recovery-points: ${error instanceof Error ? error.message : String(error)}`);
  }
}

export function environmentName(name: StartOptionName): string {
  return `SLUICEGATE_${name.replaceAll("-", "_").toUpperCase()}`;
}

const UNITS: Readonly<Record<string, number>> = {
  "": 1,
  B: 1,
  KIB: 1024,
  K: 1024,
  MIB: 1024 ** 2,
  M: 1024 ** 2,
  GIB: 1024 ** 3,
  G: 1024 ** 3,
  TIB: 1024 ** 4,
  T: 1024 ** 4,
};

/** Bytes of a size such as `10GiB`, `512M` or `1073741824`. All units are binary. */
export function parseSize(text: string): number {
  const match = /^(\d{1,15})\s*([a-zA-Z]*)$/.exec(text.trim());
  const unit = UNITS[(match?.[2] ?? "?").toUpperCase()];
  const bytes = unit === undefined ? Number.NaN : Number(match?.[1]) * unit;
  if (!Number.isSafeInteger(bytes))
    throw new OptionError(`"${text}" is no size: write 10GiB, 512MiB or bytes`);
  return bytes;
}

/** An address such as `127.0.0.1:9060` or `[::1]:9060`. */
export function parseHostPort(name: string, text: string): HostPort {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined || port > 65535) throw new OptionError(`${name}: "${text}" is not HOST:PORT`);
  return { host, port };
}

function parsePortals(name: string, text: string): readonly [HostPort, ...HostPort[]] {
  const [first = "", ...others] = text.split(",");
  return [parseHostPort(name, first.trim()), ...others.map((other) => parseHostPort(name, other.trim()))];
}

function readConfig(path: string): Given {
  let value: unknown;
  try {
    value = parse(readFileSync(path, "utf8"));
  } catch (error) {
    throw new OptionError(`${path} can't be read: ${error instanceof Error ? error.message : String(error)}`);
  }
  if (value === null) return {};
  if (typeof value !== "object" || Array.isArray(value))
    throw new OptionError(`${path} is not a list of settings`);
  const config: Given = {};
  for (const [key, setting] of Object.entries(value)) {
    if (!Object.hasOwn(START_OPTIONS, key)) throw new OptionError(`${path}: there is no option "${key}"`);
    config[key as StartOptionName] = Array.isArray(setting) ? setting.join(",") : String(setting);
  }
  return config;
}

/** Commander gives `s3Endpoint` for `--s3-endpoint`. */
export function kebab(flags: Record<string, string>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(flags).map(([key, value]) => [
      key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
      value,
    ]),
  );
}
