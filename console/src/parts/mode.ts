/** Light or dark: as the system has it, until somebody chooses. The choice is all that the console stores for good. */
import { applyMode, Mode } from "@cloudscape-design/global-styles";

export type ModeName = "light" | "dark";

const KEY = "sluicegate.mode";

export function chosenMode(): ModeName {
  const stored = localStorage.getItem(KEY);
  if (stored === "light" || stored === "dark") return stored;
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function chooseMode(mode: ModeName): void {
  localStorage.setItem(KEY, mode);
  applyMode(mode === "dark" ? Mode.Dark : Mode.Light);
}
