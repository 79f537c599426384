/** Accessibility as axe-core finds it. */

import axe from "axe-core";
import type { Page } from "playwright-core";

/** Of the design system itself, where the bar of a narrow window has an attribute that its role does not know, or of axe. */
const NOT_OURS: readonly { readonly id: string; readonly html: RegExp }[] = [
  { id: "aria-allowed-attr", html: /^<nav [^>]*aria-orientation="horizontal"[^>]*awsui_mobile-toolbar-nav/ },
  // Its labels are there and can be seen: axe takes them for off-screen in a dialog over a page that was scrolled.
  { id: "label-title-only", html: /^<input [^>]*awsui_native-input[^>]*aria-labelledby=/ },
];

interface Violation {
  readonly id: string;
  readonly impact: string | null;
  readonly help: string;
  readonly nodes: readonly { readonly html: string }[];
}

/** The serious and critical faults of what the page shows now: one line each. */
export async function seriousFaults(page: Page): Promise<string[]> {
  // The page's policy allows no script but its own: this one is evaluated by the debugger, which is not asked.
  await page.evaluate(axe.source);
  const violations = (await page.evaluate(
    "axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) => violations)",
  )) as Violation[];
  return violations
    .filter(({ impact }) => impact === "serious" || impact === "critical")
    .map((violation) => ({
      ...violation,
      nodes: violation.nodes.filter(({ html }) => isOurs(violation.id, html)),
    }))
    .filter(({ nodes }) => nodes.length > 0)
    .map(
      ({ id, help, nodes }) =>
        `${id}: ${help}: ${nodes
          .slice(0, 3)
          .map(({ html }) => html.slice(0, 200))
          .join(" | ")}`,
    );
}

function isOurs(id: string, html: string): boolean {
  return !NOT_OURS.some((known) => known.id === id && known.html.test(html));
}
