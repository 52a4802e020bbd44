// Charts: the last two minutes, drawn by uPlot (a classic script: it is there as a global).
// Time runs from right, now, to left; it is the unit's time, so this computer's clock does not
// matter.
import { byId, make, setAttribute, setText } from "./dom.js";
import { milliseconds, rate } from "./format.js";

const spanSeconds = 120;
/** A longer pause between two points is a gap: nobody knows what happened in it. */
const gapMs = 2500;

const ticks = [
  [-120, "−2 min"],
  [-90, "−90 s"],
  [-60, "−1 min"],
  [-30, "−30 s"],
  [0, "now"],
];

const compact = new Intl.NumberFormat("en-US", { notation: "compact", maximumFractionDigits: 1 });

export class Charts {
  #points = [];
  #rates = new Chart("rates", rate, compact.format, [
    { label: "requests", read: ({ requests }) => requests },
    { label: "bids", read: ({ bids }) => bids },
  ]);
  #latency = new Chart("latency", milliseconds, timeText, [
    { label: "p50", read: ({ p50Ms }) => p50Ms },
    { label: "p99", read: ({ p99Ms }) => p99Ms },
  ]);

  /** What the unit remembers takes the place of what this page had seen of the same time. */
  merge(points) {
    const first = points[0]?.timeMs ?? Infinity;
    this.#points = [...this.#points.filter(({ timeMs }) => timeMs < first), ...points];
    this.#draw();
  }

  update({ timeMs, rates, latencyMs }) {
    const last = this.#points.at(-1);
    if (rates === null || (last !== undefined && last.timeMs >= timeMs)) return;
    const { p50: p50Ms = null, p99: p99Ms = null } = latencyMs ?? {};
    this.#points.push({ timeMs, ...rates, p50Ms, p99Ms });
    this.#draw();
  }

  #draw() {
    const now = this.#points.at(-1)?.timeMs ?? 0;
    this.#points = this.#points.filter(({ timeMs }) => now - timeMs <= spanSeconds * 1000 + gapMs);
    const points = withGaps(this.#points);
    for (const chart of [this.#rates, this.#latency]) chart.draw(points, now);
  }
}

function withGaps(points) {
  return points.flatMap((point, index) => {
    const before = points[index - 1];
    if (before === undefined || point.timeMs - before.timeMs <= gapMs) return [point];
    const gap = {
      timeMs: before.timeMs + 1000,
      requests: null,
      bids: null,
      p50Ms: null,
      p99Ms: null,
    };
    return [gap, point];
  });
}

/** Two lines over time, the second one dashed, and a legend with the values under the cursor. */
class Chart {
  #element;
  #format;
  #axisText;
  #lines;
  #legend;
  #plot;

  constructor(name, format, axisText, lines) {
    this.#element = byId(`${name}-chart`);
    this.#format = format;
    this.#axisText = axisText;
    this.#lines = lines;
    this.#legend = new Legend(byId(`${name}-legend`), lines);
    this.#plot = new uPlot(this.#options(), [[], ...lines.map(() => [])], this.#element);
    new ResizeObserver(() => this.#plot.setSize(this.#size())).observe(this.#element);
    const dark = matchMedia("(prefers-color-scheme: dark)");
    dark.addEventListener("change", () => this.#plot.redraw());
  }

  draw(points, nowMs) {
    const seconds = points.map(({ timeMs }) => (timeMs - nowMs) / 1000);
    const values = this.#lines.map(({ read }) => points.map(read));
    this.#plot.setData([seconds, ...values]);
    this.#describe();
    const newest = this.#lines.map(({ label }, index) => {
      return `${label} ${this.#format(values[index].at(-1) ?? null)}`;
    });
    setAttribute(this.#element, "aria-description", `Now: ${newest.join(", ")}`);
  }

  /** The legend tells of the moment under the cursor, or of the newest. */
  #describe() {
    const { data, cursor } = this.#plot;
    const [seconds, ...values] = data;
    const index = cursor.idx ?? seconds.length - 1;
    const texts = values.map((line) => this.#format(line[index] ?? null));
    this.#legend.show(texts, ago(seconds[index] ?? 0));
  }

  #size() {
    return { width: Math.max(200, this.#element.clientWidth), height: 220 };
  }

  #options() {
    const axis = { stroke: () => style("--muted"), font: "12px system-ui, sans-serif", size: 34 };
    const lineOf = (_line, index) => ({
      stroke: () => style(`--line-${index + 1}`),
      fill: index === 0 ? () => style("--line-1-below") : undefined,
      width: 2,
      dash: index === 0 ? [] : [6, 4],
      points: { show: false },
    });
    return {
      ...this.#size(),
      padding: [8, 20, 0, 0],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      legend: { show: false },
      hooks: { setCursor: [() => this.#plot && this.#describe()] },
      scales: {
        x: { time: false, range: [-spanSeconds, 0] },
        y: { range: (_plot, _min, max) => [0, Math.max(1, (max ?? 0) * 1.15)] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          ticks: { stroke: () => style("--rule"), size: 5 },
          splits: () => this.#ticks().map(([second]) => second),
          values: () => this.#ticks().map(([, text]) => text),
        },
        {
          ...axis,
          size: 56,
          grid: { stroke: () => style("--rule"), width: 1 },
          ticks: { show: false },
          values: (_plot, values) => values.map(this.#axisText),
        },
      ],
      series: [{}, ...this.#lines.map(lineOf)],
    };
  }

  /** Narrow charts have room for fewer of them. */
  #ticks() {
    const narrow = this.#element.clientWidth < 420;
    return narrow ? ticks.filter((_tick, index) => index % 2 === 0) : ticks;
  }
}

class Legend {
  #values;
  #moment = make("span", { class: "about" });

  constructor(element, lines) {
    this.#values = lines.map(() => make("b"));
    lines.forEach(({ label }, index) => {
      const sample = make("i", { class: `sample line-${index + 1}`, "aria-hidden": "true" });
      element.append(make("span", {}, sample, label, this.#values[index]));
    });
    element.append(this.#moment);
  }

  show(texts, moment) {
    texts.forEach((text, index) => setText(this.#values[index], text));
    setText(this.#moment, moment);
  }
}

function ago(second) {
  return second > -0.5 ? "now" : `${Math.round(-second)} s ago`;
}

function timeText(ms) {
  return ms >= 1000 ? `${compact.format(ms / 1000)} s` : `${compact.format(ms)} ms`;
}

function style(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}
