/** Writes docs/api-coverage.md anew. */
import { writeFileSync } from "node:fs";
import { readResults, render } from "./render.ts";

writeFileSync(new URL("../../docs/api-coverage.md", import.meta.url), render(readResults()));
