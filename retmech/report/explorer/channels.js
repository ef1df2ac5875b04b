// The first-layer channels: a card for each, and the filter of the chosen one.

function drawChannels(element, { run, consensus }) {
  const { channels } = run;
  const order = channels.names.map((_, i) => i).sort((a, b) => channels.rank[a] - channels.rank[b]);
  element.replaceChildren(...order.map((c) => card(run, consensus, c)));
}

function card({ channels, recovery }, consensus, c) {
  const name = channels.names[c];
  const temporal = series(channels.temporal, c);
  const sketch = svg(
    "svg",
    { viewBox: "0 0 90 36", "aria-hidden": "true" },
    svg("line", { x1: 0, x2: 90, y1: 18, y2: 18, class: "zero" }),
    svg("path", { d: path(temporal, 90, 36), stroke: colour(c), fill: "none", "stroke-width": 2 }),
  );
  const says = [`${channels.words[c]}`, `peak ${Math.round(1000 * channels.time_to_peak[c])} ms`];
  const tags = [channels.factor[c] === "none" ? "no factor" : channels.factor[c]];
  const type = typeOf(consensus, name);
  if (type) tags.push(`type ${type}`);
  if (recovery) tags.push(pathwayOf(recovery, c));
  const description = `${name}: ${says.join(", ")}; ${tags.join(", ")}${channels.in_circuit[c] ? "; in the circuit" : ""}`;
  return html(
    "button",
    {
      class: "card",
      type: "button",
      "aria-pressed": String(state.channel === name),
      "aria-label": description,
      "data-channel": name,
      style: `border-color: ${colour(c)}`,
      onclick: () => set({ channel: name }),
      onmouseenter: () => set({ channel: name }),
      onfocus: () => set({ channel: name }),
    },
    html("b", {}, name, channels.in_circuit[c] ? html("span", { class: "mark", title: "in the circuit" }, "circuit") : null),
    html("span", { class: "filters" }, thumbnail(rows(channels.spatial, c)), sketch),
    html("span", {}, says.join(", ")),
    html("span", { class: "tags" }, tags.join(" · ")),
  );
}

function typeOf(consensus, channel) {
  if (!consensus) return null;
  const place = consensus.runs.findIndex((name) => name === state.seed || name.endsWith(`/${state.seed}`));
  const type = place < 0 ? 0 : consensus.cell_type[place][consensus.channels.indexOf(channel)];
  return type || null;
}

function pathwayOf(recovery, c) {
  const found = recovery.probes.indexOf(state.probe);
  const pathway = found < 0 ? "none" : recovery.pathway_of_channel[found][c];
  return pathway === "none" ? "no true pathway" : `like ${pathway}`;
}

/** The filter of the chosen channel, and its description. */
async function drawChannel(element, { run, mechanism, cell }) {
  const { channels } = run;
  const c = Math.max(0, channels.names.indexOf(state.channel));
  for (const other of document.querySelectorAll(".card")) {
    other.setAttribute("aria-pressed", String(other.dataset.channel === channels.names[c]));
  }
  const at = channels.y.map((_, i) => series(channels.spatial, c, i));
  const traces = [
    map(at, channels.x, channels.y, "", { hovertemplate: "%{x:.0f}, %{y:.0f} um: %{z:.3f}<extra></extra>" }),
    curve(milliseconds(channels.lag), series(channels.temporal, c), channels.names[c], colour(c), {
      xaxis: "x2",
      yaxis: "y2",
      line: { width: 2.2 },
      hovertemplate: "%{x:.0f} ms: %{y:.2f}<extra></extra>",
    }),
  ];
  const figure = element.querySelector(".plot");
  await plot(figure, traces, mapAndCourse(figure, 240, "filter (peak = 1)"));
  const p = run.probes.indexOf(state.probe);
  const effect = p < 0 ? 0 : channels.effect[p][cell][c];
  const strength = p < 0 ? 0 : channels.strength[p][cell][c];
  element.querySelector(".says").textContent =
    `${channels.names[c]} is ${channels.words[c]}: it peaks ${
      Math.round(1000 * channels.time_to_peak[c])
    } ms before the response, its biphasic index is ` +
    `${channels.biphasic_index[c].toFixed(2)}${spaceOf(channels, c)}; ` +
    `the separable filter drawn here holds ${Math.round(100 * channels.separability[c])} % of its power. In ${state.probe} it ` +
    `${effect >= 0 ? "excites" : "inhibits"} ${state.cell} with ${strength.toFixed(2)} Hz in the mean` +
    `${mechanism ? `, and has ${shareOf(run, c, p, cell)} of the largest response` : ""}.`;
}

/** What a channel sees of space; nothing if its filter has one pixel. */
function spaceOf({ extent, surround_ratio }, c) {
  if (extent[c] === null) return "";
  return `, its centre is ${Math.round(extent[c])} um wide, its surround ${surround_ratio[c].toFixed(2)} of it`;
}

function shareOf({ channels }, c, p, cell) {
  const share = p < 0 ? null : channels.share[p][cell][c];
  return share === null ? "no part" : `${Math.round(100 * share)} %`;
}
