/** A CPU profile as a table and as a flame graph. */
export interface CpuProfile {
  readonly nodes: readonly {
    readonly id: number;
    readonly callFrame: { readonly functionName: string; readonly url: string };
    readonly children?: readonly number[];
  }[];
  readonly samples: readonly number[];
}

interface Frame {
  readonly name: string;
  samples: number;
  readonly self: { samples: number };
  readonly below: Map<string, Frame>;
}

const WIDTH = 1200;
const ROW = 17;
const MARGIN = 10;
const CHARACTER = 6.6;
const LEAST_PIXELS = 0.5;
const IDLE = new Set(["(idle)", "(root)"]);

/** The profile as a tree of frames, without the time in which nothing ran. */
function frames(profile: CpuProfile): Frame {
  const nodes = new Map(profile.nodes.map((node) => [node.id, node]));
  const parent = new Map<number, number>();
  for (const { id, children = [] } of profile.nodes) for (const child of children) parent.set(child, id);
  const root = frame("all");
  for (const id of profile.samples) {
    const stack: string[] = [];
    for (let at: number | undefined = id; at !== undefined; at = parent.get(at)) {
      stack.push(nameOf(nodes.get(at)?.callFrame));
    }
    if (stack.some((name) => name === "(idle)")) continue;
    let into = root;
    into.samples += 1;
    for (const name of stack.reverse()) {
      if (IDLE.has(name)) continue;
      const next = into.below.get(name) ?? frame(name);
      into.below.set(name, next);
      next.samples += 1;
      into = next;
    }
    into.self.samples += 1;
  }
  return root;
}

function frame(name: string): Frame {
  return { name, samples: 0, self: { samples: 0 }, below: new Map() };
}

function nameOf(callFrame: CpuProfile["nodes"][number]["callFrame"] | undefined): string {
  if (callFrame === undefined) return "(unknown)";
  const { functionName, url } = callFrame;
  const file = url.startsWith("node:") ? url : url.split("/").slice(-2).join("/");
  return [functionName || "(anonymous)", file].filter((part) => part !== "").join(" ");
}

/** Samples in which something ran. */
export function busySamples(profile: CpuProfile): number {
  return frames(profile).samples;
}

/** The functions in which most time was spent (without what they called), as shares of all that ran. */
export function selfShares(profile: CpuProfile, most: number): readonly (readonly [string, number])[] {
  const root = frames(profile);
  const shares = new Map<string, number>();
  const visit = ({ name, self, below }: Frame) => {
    shares.set(name, (shares.get(name) ?? 0) + self.samples / root.samples);
    for (const next of below.values()) visit(next);
  };
  visit(root);
  return [...shares].sort(([, a], [, b]) => b - a).slice(0, most);
}

/** The profile as an SVG: a box a function, as wide as its share, on top of who called it. */
export function flameGraph(profile: CpuProfile, title: string): string {
  const root = frames(profile);
  const boxes: string[] = [];
  let depthMax = 0;
  const draw = (node: Frame, x: number, width: number, depth: number) => {
    if (width < LEAST_PIXELS) return;
    depthMax = Math.max(depthMax, depth);
    const share = ((node.samples / root.samples) * 100).toFixed(1);
    const label = node.name.slice(0, Math.max(0, Math.floor(width / CHARACTER) - 1));
    const hue = 20 + ([...node.name].reduce((sum, letter) => sum + letter.charCodeAt(0), 0) % 40);
    boxes.push(
      `<g><title>${escaped(node.name)}: ${share} %</title><rect x="${x.toFixed(1)}" y="@${depth}@" width="${width.toFixed(1)}"` +
        ` height="${ROW - 1}" fill="hsl(${hue},80%,65%)"/><text x="${(x + 2).toFixed(1)}" y="@${depth}t@">${escaped(label)}</text></g>`,
    );
    let at = x;
    for (const next of [...node.below.values()].sort((a, b) => b.samples - a.samples)) {
      const part = (width * next.samples) / node.samples;
      draw(next, at, part, depth + 1);
      at += part;
    }
  };
  draw(root, MARGIN, WIDTH - 2 * MARGIN, 0);
  const height = (depthMax + 1) * ROW + 3 * MARGIN + ROW;
  const rowOf = (depth: number) => height - MARGIN - (depth + 1) * ROW;
  const body = boxes
    .join("\n")
    .replace(/@(\d+)@/g, (_, depth) => String(rowOf(Number(depth))))
    .replace(/@(\d+)t@/g, (_, depth) => String(rowOf(Number(depth)) + ROW - 5));
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="monospace" font-size="11">\n` +
    `<text x="${MARGIN}" y="${ROW}" font-size="13">${escaped(title)}</text>\n${body}\n</svg>\n`
  );
}

function escaped(text: string): string {
  return text.replace(/&/g, "&amp;").replace(/</g, "&lt;").replace(/>/g, "&gt;");
}
