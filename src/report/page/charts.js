// Charts of a report's page: lines, drawn by uPlot (a classic script: it is there as a global).
// What they show stands in the page as data, and once more as tables for who has no script.
(() => {
  const height = 280;
  const lines = 8;
  const charts = JSON.parse(document.getElementById("charts").textContent);

  const compact = new Intl.NumberFormat("en-US", {
    notation: "compact",
    maximumSignificantDigits: 3,
  });
  const exact = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 4 });

  /** A colour of the style sheet, as it is at this moment: light, dark, or on paper. */
  function colour(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  }

  function axis(label) {
    return {
      label,
      labelSize: 24,
      stroke: colour("muted"),
      grid: { stroke: colour("rule"), width: 1 },
      ticks: { stroke: colour("rule"), width: 1 },
      values: (_plot, splits) =>
        splits.map((split) => (split === null ? "" : compact.format(split))),
    };
  }

  function value(_plot, shown) {
    return shown === null || shown === undefined ? "–" : exact.format(shown);
  }

  function draw(chart, element) {
    const series = chart.series.map(({ name }, index) => ({
      label: name,
      stroke: colour(`line-${index % lines}`),
      width: 2,
      dash: index < lines ? [] : [6, 4],
      points: { show: chart.x.length <= 60 },
      value,
    }));
    const y = chart.isLog
      ? { distr: 3 }
      : { range: { min: { pad: 0, soft: 0, mode: 1 }, max: { pad: 0.1 } } };
    const options = {
      width: element.clientWidth,
      height,
      scales: { x: { time: false }, y },
      axes: [axis(chart.xLabel), { ...axis(chart.yLabel), size: 64 }],
      series: [{ label: chart.xLabel, value }, ...series],
    };
    return new uPlot(options, [chart.x, ...chart.series.map(({ values }) => values)], element);
  }

  for (const element of document.querySelectorAll("[data-chart]")) {
    const chart = charts[Number(element.dataset.chart)];
    let plot = draw(chart, element);
    const again = () => {
      plot.destroy();
      plot = draw(chart, element);
    };
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
    matchMedia("print").addEventListener("change", again);
    new ResizeObserver(() => {
      if (element.clientWidth > 0) plot.setSize({ width: element.clientWidth, height });
    }).observe(element);
  }
})();
