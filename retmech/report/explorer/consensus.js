// What comes back in other seeds, or in other recordings.

async function drawConsensus(element, { consensus: found }) {
  element.querySelector(".says").textContent = found.doubt;
  const matches = ["channel", "factor"].flatMap((item) => matched(found, item));
  const pairs = element.querySelector(".pairs");
  pairs.hidden = !matches.length; // one run has nothing to be matched with
  if (matches.length) await drawPairs(pairs, matches);
  await drawTypes(element.querySelector(".types"), found);
  const header = ["run", ...found.channels, ...found.types.map((type) => `share of type ${type}`)];
  const lines = found.runs.map((
    name,
    i,
  ) => [
    name,
    ...found.cell_type[i].map((type) => (type ? `type ${type}` : "none")),
    ...found.share[i].map((share) => `${Math.round(100 * share)} %`),
  ]);
  element.querySelector(".table").replaceChildren(
    tableOf({ caption: "Cell type of each channel, and each type's share of the attributions", header, rows: lines }),
  );
}

/** Mean similarity of every pair of runs, and that of shuffled ones; without those that have nothing to be matched. */
function matched(found, item) {
  const pairs = [];
  found.runs.forEach((first, a) =>
    found.runs.forEach((second, b) => {
      if (a >= b || found[item].p_value[a][b] === null) return;
      const known = found[item].similarity[a][b].filter((v) => v !== null);
      const [low, middle, high] = found[item].null.map((quantile) => quantile[a][b]);
      pairs.push({
        label: `${item}s of ${first}, ${second}`,
        low,
        middle,
        high,
        mean: known.reduce((s, x) => s + x, 0) / known.length,
      });
    })
  );
  return pairs;
}

function drawPairs(element, matches) {
  const labels = matches.map((match) => match.label);
  return plot(element, [
    {
      type: "bar",
      orientation: "h",
      y: labels,
      base: matches.map(({ low }) => low),
      x: matches.map(({ low, high }) => high - low),
      marker: { color: faint("#888888", 0.4) },
      name: "shuffled, 5-95 %",
      hoverinfo: "skip",
    },
    {
      type: "scatter",
      mode: "markers",
      y: labels,
      x: matches.map(({ middle }) => middle),
      name: "shuffled, median",
      marker: { symbol: "line-ns-open", size: 14, color: muted() },
    },
    {
      type: "scatter",
      mode: "markers",
      y: labels,
      x: matches.map(({ mean }) => mean),
      name: "matched",
      marker: { size: 11, color: colour(0) },
    },
  ], {
    height: 130 + 26 * labels.length,
    showlegend: true,
    margin: { l: 190, r: 14, t: 40, b: 46 },
    xaxis: axis("mean similarity", { range: [-0.02, 1.02] }),
    yaxis: axis("", { autorange: "reversed" }),
  });
}

/** Filters of the cell types, and how their number was found. */
function drawTypes(element, found) {
  const types = found.types.map((type, i) =>
    curve(
      milliseconds(found.lag),
      series(found.filter, i),
      `type ${type}${found.counts[i] ? "" : " (no part in the responses)"}`,
      colour(i),
      { line: { dash: found.counts[i] ? "solid" : "dot" } },
    )
  );
  const numberOf = [
    {
      type: "bar",
      x: found.count,
      y: found.probability,
      name: "best in bootstrap draws",
      marker: { color: colour(4) },
      xaxis: "x2",
      yaxis: "y2",
      showlegend: false,
    },
    curve(found.count, found.silhouette, "mean silhouette", ink(), {
      mode: "lines+markers",
      xaxis: "x2",
      yaxis: "y2",
      showlegend: false,
    }),
  ];
  const { rows: n, parts: [left, right] } = places(element, [5, 4], 0.1);
  return plot(element, [...types, ...numberOf], {
    height: 330 * n,
    showlegend: true,
    margin: { l: 58, r: 14, t: 60, b: 46 },
    xaxis: axis("time before the response (ms)", { domain: left.x }),
    yaxis: axis("temporal filter (peak = 1)", { domain: left.y }),
    xaxis2: axis("number of cell types", { domain: right.x, anchor: "y2", dtick: 1 }),
    yaxis2: axis("share of draws (bars); silhouette", { domain: right.y, anchor: "x2" }),
  });
}
