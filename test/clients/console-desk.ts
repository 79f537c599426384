/** A gateway of its own, and a browser that works with its console: what every test of the console begins with. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { TestBrowser } from "./browser.ts";
import { ConsolePages } from "./console.ts";
import { GatewayProcess } from "./gateway.ts";

const SIZES = ["--cache-size", "256MiB", "--upload-buffer-size", "256MiB"];

export class ConsoleDesk {
  /** For the gateway's data, and whatever a test needs beside it; gone with `close`. */
  readonly folder = mkdtempSync(join(tmpdir(), "sg-console-"));
  readonly gateway = new GatewayProcess(join(this.folder, "data"), SIZES);
  #browser: TestBrowser | undefined;

  /** The browser; the first call starts it. */
  async browse(): Promise<TestBrowser> {
    this.#browser ??= await TestBrowser.start();
    return this.#browser;
  }

  /** A page of the running gateway's console with an administrator signed in. */
  async signIn(): Promise<{ readonly page: Page; readonly ui: ConsolePages }> {
    const { page } = await (await this.browse()).open();
    const ui = new ConsolePages(page, this.gateway);
    await ui.signIn();
    return { page, ui };
  }

  async close(): Promise<void> {
    await this.#browser?.close();
    await this.gateway.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
