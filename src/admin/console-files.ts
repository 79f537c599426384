/**
 * The web console's files over HTTP.
 *
 * What can be had is exactly what was in the folder when the process started: a path is looked up in a table and never
 * put together, so none can lead out of it. Pages of the console all are the same document (its router looks at the
 * path); what the build gave a hash in its name may be kept by browsers for ever.
 */
import { readdirSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { extname, join, relative, sep } from "node:path";

export interface ConsoleRequest {
  readonly method: string;
  /** Path and query as they came. */
  readonly url: string;
  /** Header names in lower case. */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface ConsoleAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

/** What the console has to know before anybody has signed in. */
export interface ConsoleSettings {
  /** The region that signatures have to name. */
  readonly region: string;
  readonly version: string;
}

const BASE = "/console";
const DOCUMENT = "index.html";
const TYPES: Readonly<Record<string, string>> = {
  ".css": "text/css; charset=utf-8",
  ".html": "text/html; charset=utf-8",
  ".ico": "image/x-icon",
  ".js": "text/javascript; charset=utf-8",
  ".json": "application/json; charset=utf-8",
  ".png": "image/png",
  ".svg": "image/svg+xml",
  ".txt": "text/plain; charset=utf-8",
  ".woff": "font/woff",
  ".woff2": "font/woff2",
};

/** Scripts, styles and requests from here only; no frames, no forms, no plug-ins. Charts and icons are inline images. */
const POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "font-src 'self' data:",
  "img-src 'self' data: blob:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

const SECURITY: Readonly<Record<string, string>> = {
  "content-security-policy": POLICY,
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
};

interface StoredFile {
  readonly path: string;
  readonly type: string;
  /** Its name says what is in it. */
  readonly isImmutable: boolean;
  /** There is the same beside it, packed with gzip. */
  readonly hasGzip: boolean;
}

export class ConsoleFiles {
  readonly #files: ReadonlyMap<string, StoredFile>;
  readonly #settings: ConsoleSettings;

  /** The console that was built into `folder`; without the folder every page says that there is none. */
  constructor(folder: string, settings: ConsoleSettings) {
    this.#files = scan(folder);
    this.#settings = settings;
  }

  /**
   * The answer to a request that is for the console: its paths, and a browser that opens the gateway's address.
   * Undefined for all others, which are the API's.
   */
  async answer(request: ConsoleRequest): Promise<ConsoleAnswer | undefined> {
    const [path = "", query] = request.url.split("?", 2);
    if (request.method !== "GET" && request.method !== "HEAD") return undefined;
    if (path === "/" && query === undefined && isBrowser(request)) return redirect(`${BASE}/`);
    if (path === BASE) return redirect(`${BASE}/`);
    if (path === "/favicon.ico") return text(404, "not found");
    if (!path.startsWith(`${BASE}/`)) return undefined;
    const answer = await this.#file(path.slice(BASE.length + 1), request);
    return request.method === "HEAD" ? { ...answer, body: Buffer.alloc(0) } : answer;
  }

  async #file(name: string, request: ConsoleRequest): Promise<ConsoleAnswer> {
    if (name === "settings.json") {
      const headers = { ...SECURITY, "content-type": TYPES[".json"] ?? "", "cache-control": "no-store" };
      return { status: 200, headers, body: Buffer.from(JSON.stringify(this.#settings)) };
    }
    // A path without an extension is a page of the console.
    const file = this.#files.get(name) ?? (extname(name) === "" ? this.#files.get(DOCUMENT) : undefined);
    if (file === undefined) {
      return this.#files.has(DOCUMENT)
        ? text(404, "not found")
        : text(404, "The console was not built: run npm run build.");
    }
    const gzip = file.hasGzip && acceptsGzip(request);
    return {
      status: 200,
      headers: {
        ...SECURITY,
        "content-type": file.type,
        "cache-control": file.isImmutable ? "public, max-age=31536000, immutable" : "no-cache",
        ...(file.hasGzip && { vary: "accept-encoding" }),
        ...(gzip && { "content-encoding": "gzip" }),
      },
      body: await readFile(gzip ? `${file.path}.gz` : file.path),
    };
  }
}

function scan(folder: string): Map<string, StoredFile> {
  const files = new Map<string, StoredFile>();
  if (statSync(folder, { throwIfNoEntry: false })?.isDirectory() !== true) return files;
  const paths = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((item) => item.isFile())
    .map((item) => join(item.parentPath, item.name));
  const all = new Set(paths);
  for (const path of paths) {
    const type = TYPES[extname(path)];
    if (type === undefined) continue;
    const name = relative(folder, path).split(sep).join("/");
    files.set(name, {
      path,
      type,
      isImmutable: name.startsWith("assets/"),
      hasGzip: all.has(`${path}.gz`),
    });
  }
  return files;
}

/** Clients of the API sign what they send, and ask for no pages. */
function isBrowser({ headers }: ConsoleRequest): boolean {
  return headers.authorization === undefined && String(headers.accept ?? "").includes("text/html");
}

function acceptsGzip({ headers }: ConsoleRequest): boolean {
  return String(headers["accept-encoding"] ?? "")
    .split(",")
    .some((coding) => /^\s*gzip\s*(;\s*q=(?!0(\.0*)?\s*$).*)?$/.test(coding));
}

function redirect(location: string): ConsoleAnswer {
  const { headers, ...rest } = text(302, "");
  return { ...rest, headers: { ...headers, location } };
}

function text(status: number, message: string): ConsoleAnswer {
  return {
    status,
    headers: { ...SECURITY, "content-type": TYPES[".txt"] ?? "", "cache-control": "no-store" },
    body: Buffer.from(message === "" ? "" : `${message}\n`),
  };
}
