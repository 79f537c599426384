/** Debian's Chromium, driven by Playwright: the console as people use it. */
import { existsSync } from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const EXECUTABLE = "/usr/bin/chromium";
const FLAGS = [
  ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
  ...["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage"],
];
const STEP_MS_MAX = 60_000;

/** Why tests in a browser can't run here; false where they can. */
export const skipWithoutBrowser: string | false = existsSync(EXECUTABLE)
  ? false
  : "there is no chromium here";

export const DESKTOP = { width: 1440, height: 900 };
export const PHONE = { width: 390, height: 844 };

/** A browser that keeps nothing: each page that it opens is of a profile of its own. */
export class TestBrowser {
  readonly #browser: Browser;

  private constructor(browser: Browser) {
    this.#browser = browser;
  }

  static async start(): Promise<TestBrowser> {
    // Playwright makes a new folder for the profile and removes it.
    return new TestBrowser(
      await chromium.launch({
        executablePath: EXECUTABLE,
        headless: true,
        chromiumSandbox: false,
        args: FLAGS,
      }),
    );
  }

  /** A window with a profile of its own. What its pages log as an error is kept in `problems`. */
  async open(
    options: { viewport?: { width: number; height: number }; colorScheme?: "light" | "dark" } = {},
  ): Promise<{ page: Page; context: BrowserContext; problems: string[] }> {
    const context = await this.#browser.newContext({
      viewport: DESKTOP,
      reducedMotion: "reduce",
      ...options,
    });
    context.setDefaultTimeout(STEP_MS_MAX);
    const page = await context.newPage();
    const problems: string[] = [];
    page.on("pageerror", (error) => problems.push(error.message));
    page.on("console", (message) => {
      const isStatus = message.text().startsWith("Failed to load resource");
      if (message.type() === "error" && !isStatus) problems.push(message.text());
    });
    page.on("response", async (response) => {
      if (response.status() < 400) return;
      const target = response.request().headers()["x-amz-target"] ?? response.request().postData() ?? "";
      problems.push(`${response.status()} ${response.url()} ${target}`);
    });
    return { page, context, problems };
  }

  async close(): Promise<void> {
    await this.#browser.close();
  }
}
