import { strict as assert } from "node:assert";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { gzipSync } from "node:zlib";
import { ConsoleFiles } from "./console-files.ts";

describe("the console's files", () => {
  const folder = mkdtempSync(join(tmpdir(), "sg-console-"));
  after(() => rmSync(folder, { recursive: true }));
  const root = join(folder, "console");
  mkdirSync(join(root, "assets"), { recursive: true });
  writeFileSync(join(folder, "secret.txt"), "secret");
  writeFileSync(join(root, "index.html"), "<html></html>");
  writeFileSync(join(root, "assets", "a-1234.js"), "let a;");
  writeFileSync(join(root, "assets", "a-1234.js.gz"), gzipSync("let a;"));
  writeFileSync(join(root, "assets", "a-1234.js.map"), "{}");
  const files = new ConsoleFiles(root, { region: "us-east-1", version: "1.2.3" });
  const get = (url: string, headers = {}) => files.answer({ method: "GET", url, headers });

  test("a browser that opens the address is led to the console; clients of the API are not", async () => {
    const page = { accept: "text/html,*/*" };
    assert.deepEqual((await get("/", page))?.headers.location, "/console/");
    assert.equal(await get("/", { accept: "*/*" }), undefined);
    assert.equal(await get("/?activationRegion=us-east-1", page), undefined);
    assert.equal(await get("/?Action=DescribeSnapshots", page), undefined);
    assert.equal(await get("/", { ...page, authorization: "AWS4-HMAC-SHA256 x" }), undefined);
    assert.equal(await files.answer({ method: "POST", url: "/console/", headers: page }), undefined);
    assert.equal(await get("/snapshots/snap-1/blocks"), undefined);
  });

  test("pages are one document, asked for anew each time; assets stay", async () => {
    for (const url of ["/console/", "/console/snapshots", "/console/volumes/vol-1?tab=x"]) {
      const answer = await get(url);
      assert.equal(answer?.status, 200);
      assert.equal(answer?.body.toString(), "<html></html>");
      assert.equal(answer?.headers["cache-control"], "no-cache");
      assert.equal(answer?.headers["content-type"], "text/html; charset=utf-8");
    }
    const asset = await get("/console/assets/a-1234.js");
    assert.match(asset?.headers["cache-control"] ?? "", /immutable/);
    assert.equal(asset?.headers["content-type"], "text/javascript; charset=utf-8");
    assert.equal((await get("/console/assets/a-9999.js"))?.status, 404);
  });

  test("gzip for those who take it", async () => {
    const packed = await get("/console/assets/a-1234.js", { "accept-encoding": "br, gzip;q=0.5" });
    assert.equal(packed?.headers["content-encoding"], "gzip");
    assert.deepEqual(packed?.body, gzipSync("let a;"));
    for (const coding of ["", "br", "gzip;q=0", "gzip;q=0.0"]) {
      const plain = await get("/console/assets/a-1234.js", { "accept-encoding": coding });
      assert.equal(plain?.headers["content-encoding"], undefined, coding);
      assert.equal(plain?.headers.vary, "accept-encoding");
      assert.equal(plain?.body.toString(), "let a;");
    }
  });

  test("nothing leads out of the folder, and what has no type of its own is not given", async () => {
    for (const way of [
      "../secret.txt",
      "..%2fsecret.txt",
      "%2e%2e/secret.txt",
      "assets/../../secret.txt",
      "..\\secret.txt",
      "/etc/passwd.txt",
      "assets/a-1234.js.map",
      "assets/a-1234.js.gz",
      "__proto__.js",
      "assets/a-1234.js\0.txt",
    ]) {
      const answer = await get(`/console/${way}`);
      assert.equal(answer?.status, 404, way);
      assert.doesNotMatch(answer?.body.toString() ?? "", /secret\b/);
    }
  });

  test("every answer says what the browser may do with it", async () => {
    for (const url of ["/console/", "/console", "/console/settings.json", "/console/no.js", "/favicon.ico"]) {
      const { headers } = (await get(url)) ?? { headers: {} as Record<string, string> };
      assert.match(headers["content-security-policy"] ?? "", /default-src 'none'.*frame-ancestors 'none'/);
      assert.doesNotMatch(headers["content-security-policy"] ?? "", /unsafe/);
      assert.equal(headers["x-content-type-options"], "nosniff");
      assert.equal(headers["referrer-policy"], "no-referrer");
    }
    const head = await files.answer({ method: "HEAD", url: "/console/", headers: {} });
    assert.equal(head?.body.length, 0);
    const settings = await get("/console/settings.json");
    assert.deepEqual(JSON.parse(settings?.body.toString() ?? ""), { region: "us-east-1", version: "1.2.3" });
  });

  test("without a build there is a page that says so", async () => {
    const none = new ConsoleFiles(join(folder, "none"), { region: "us-east-1", version: "1" });
    const answer = await none.answer({ method: "GET", url: "/console/", headers: {} });
    assert.equal(answer?.status, 404);
    assert.match(answer?.body.toString() ?? "", /was not built/);
  });
});
