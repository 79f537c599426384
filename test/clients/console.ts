/** What people do again and again in the console. */
import type { Locator, Page } from "playwright-core";
import type { GatewayProcess } from "./gateway.ts";

export class ConsolePages {
  readonly #page: Page;
  readonly #gateway: GatewayProcess;

  constructor(page: Page, gateway: GatewayProcess) {
    this.#page = page;
    this.#gateway = gateway;
  }

  /** Signs in with the gateway's own key; resolves when the overview is there. */
  async signIn(): Promise<void> {
    const page = this.#page;
    const { accessKeyId, secretAccessKey } = this.#gateway.botoSettings();
    if (!page.url().includes("/console/")) await page.goto(`${this.#gateway.endpoint}/console/`);
    await page.getByLabel("Access key ID").fill(accessKeyId);
    await page.getByLabel("Secret access key").fill(secretAccessKey);
    await page.getByRole("button", { name: "Sign in" }).click();
    await this.heading("Overview");
  }

  /** Resolves when the page with this title is there. */
  async heading(name: string): Promise<void> {
    await this.#page.getByRole("heading", { name, level: 1, exact: true }).waitFor();
  }

  /** Resolves when the text can be seen. */
  async says(text: string): Promise<void> {
    await this.#page.getByText(text).filter({ visible: true }).first().waitFor();
  }

  /** Goes by the navigation at the side. */
  async navigate(name: string): Promise<void> {
    await this.#page.getByRole("navigation").getByRole("link", { name, exact: true }).click();
  }

  /** The wizard's next step. */
  async next(): Promise<void> {
    await this.#page.getByRole("button", { name: "Next", exact: true }).click();
  }

  get dialog(): Locator {
    return this.#page.getByRole("dialog");
  }

  /** Chooses from the page's menu of actions. */
  async action(name: string): Promise<void> {
    await this.#page.getByRole("button", { name: "Actions" }).click();
    await this.#page.getByRole("menuitem", { name, exact: true }).click();
  }

  /** Resolves when the text is among a page's figures. */
  async summaryHas(text: string): Promise<void> {
    await this.#page.getByRole("main").getByText(text, { exact: true }).first().waitFor();
  }
}
