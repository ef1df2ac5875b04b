// The circuit as a drawing: which interneurons act on the cell, with what sign and how strongly.

const BOX = { w: 172, h: 62, gap: 14 };
const CELL = { x: 508, r: 36 };

async function drawCircuit(element, { run, probe, cell }) {
  const figures = [circuitOf(`${state.model}/${state.seed}`, run, keptOf(run), cell)];
  const other = await block(`${state.recording}/run/${state.beside}`);
  if (other) {
    figures.push(circuitOf(state.beside, other, other.channels.names.filter((_, c) => other.channels.in_circuit[c]), cell));
  }
  if (probe.truth && run.recovery) {
    figures.push(diagram("simulated retina", truePathways(run, probe, cell), state.cell, "The truth."));
  }
  element.replaceChildren(...figures);
}

function circuitOf(title, run, kept, cell) {
  const p = run.probes.indexOf(state.probe);
  const all = run.channels.names.map((name, c) => ({
    name,
    words: run.channels.words[c],
    colour: colour(c),
    temporal: series(run.channels.temporal, c),
    strength: run.channels.strength[p]?.[cell][c] ?? 0,
    effect: run.channels.effect[p]?.[cell][c] ?? 0,
  }));
  const nodes = all.filter((node) => kept.includes(node.name));
  const others = all.filter((node) => !kept.includes(node.name));
  const rest = others.reduce((s, node) => s + node.strength, 0);
  const total = all.reduce((s, node) => s + node.strength, 0);
  const remark = others.length && total > 0
    ? `The other ${others.length} channels have ${Math.round((100 * rest) / total)} % of the magnitude. `
    : "";
  return diagram(title, nodes, state.cell, remark + run.circuit_doubt);
}

function truePathways({ recovery }, { truth }, cell) {
  return truth.pathways.map((name, p) => {
    const kernel = recovery.kernels ? Array.from(series(recovery.kernels.kernel, p)).reverse() : null;
    const words = kernel ? `peak ${Math.round(1000 * recovery.kernels.lag[peakOf(series(recovery.kernels.kernel, p))])} ms` : "";
    return {
      name,
      words,
      colour: colour(p + 1),
      temporal: kernel,
      strength: truth.strength[cell][p],
      effect: truth.effect[cell][p],
    };
  });
}

function peakOf(values) {
  return values.reduce((best, v, i) => (Math.abs(v) > Math.abs(values[best]) ? i : best), 0);
}

function diagram(title, nodes, cell, remark) {
  const height = Math.max(1.2, nodes.length) * (BOX.h + BOX.gap) + BOX.gap;
  const middle = height / 2;
  const strongest = Math.max(...nodes.map((node) => node.strength), 1e-12);
  const drawing = svg("svg", {
    viewBox: `0 0 560 ${height}`,
    role: "img",
    "aria-label": inWords(title, nodes, cell),
    class: "diagram",
  });
  drawing.append(
    svg("rect", { x: 2, y: middle - 26, width: 84, height: 52, rx: 4, class: "node" }),
    text(44, middle + 4, "stimulus", "middle"),
  );
  nodes.forEach((node, i) => {
    const y = BOX.gap + i * (BOX.h + BOX.gap);
    drawing.append(svg("path", { d: `M86,${middle} C110,${middle} 110,${y + BOX.h / 2} 130,${y + BOX.h / 2}`, class: "input" }));
    const angle = nodes.length > 1 ? (i / (nodes.length - 1) - 0.5) * (Math.PI / 1.6) : 0;
    drawing.append(connection(node, 130 + BOX.w, y + BOX.h / 2, middle, angle, strongest), box(node, 130, y));
  });
  drawing.append(svg("circle", { cx: CELL.x, cy: middle, r: CELL.r, class: "node" }), text(CELL.x, middle + 4, cell, "middle"));
  return html(
    "figure",
    { class: "circuit" },
    html("b", {}, title),
    drawing,
    html("figcaption", {}, remark || "All channels are kept."),
  );
}

function inWords(title, nodes, cell) {
  const said = nodes.map((node) =>
    `${node.name} (${node.words}) ${node.effect >= 0 ? "excites" : "inhibits"} with ${node.strength.toFixed(2)} Hz`
  );
  return `Circuit of ${title} on ${cell}: ${said.join("; ") || "nothing is kept"}.`;
}

function box(node, x, y) {
  const group = svg(
    "g",
    {},
    svg("rect", { x, y, width: BOX.w, height: BOX.h, rx: 6, class: "node", style: `stroke: ${node.colour}; stroke-width: 2` }),
  );
  group.append(text(x + 8, y + 16, node.name, "start", "bold"), text(x + 8, y + BOX.h - 8, node.words, "start", "small"));
  if (node.temporal) {
    group.append(
      svg("path", {
        d: path(node.temporal, 80, 30),
        transform: `translate(${x + 84}, ${y + 12})`,
        stroke: node.colour,
        fill: "none",
        "stroke-width": 1.8,
      }),
    );
  }
  return group;
}

/** An arrow where it excites, a bar where it inhibits, as thick as it is strong; it ends at an angle of the cell's circle. */
function connection(node, x, y, middle, angle, strongest) {
  const excites = node.effect >= 0;
  const width = 1 + (7 * node.strength) / strongest;
  const kind = excites ? "excites" : "inhibits";
  const half = 6 + width / 2;
  const reach = CELL.r + (excites ? 11 : 4);
  const [toX, toY] = [CELL.x - reach * Math.cos(angle), middle + reach * Math.sin(angle)];
  const [bendX, bendY] = [toX - 60 * Math.cos(angle), toY + 60 * Math.sin(angle)];
  const group = svg("g", { class: kind }, svg("title", {}, `${node.name} ${kind} with ${node.strength.toFixed(2)} Hz`));
  group.append(
    svg("path", {
      d: `M${x},${y} C${x + 70},${y} ${bendX},${bendY} ${toX},${toY}`,
      "stroke-width": width.toFixed(1),
      fill: "none",
    }),
  );
  const mark = excites ? `M0,${-half} L10,0 L0,${half} Z` : `M2,${-half} L2,${half}`;
  const turn = `translate(${toX}, ${toY}) rotate(${((-angle * 180) / Math.PI).toFixed(1)})`;
  group.append(svg("path", { d: mark, class: "end", transform: turn }));
  group.append(text(x + 6, y - 6 - width / 2, `${node.strength.toFixed(2)} Hz`, "start", "small"));
  return group;
}

function text(x, y, content, anchor, kind = "") {
  return svg("text", { x, y, "text-anchor": anchor, class: kind }, content);
}
