// The network after one step of a plan: drawn where it lies, or as a tree where nobody has given places. Grey is normal;
// what is beyond a limit has colour, a thick stroke and its value beside it.
"use strict";
import { el, percent, perUnit, power } from "./common.js";

const width = 600, height = 420, margin = 24;

export class Picture {
  #root = d3.select("#picture");
  #layer;
  #zoom;
  #places = new Map();
  #scale = 1;

  /** @param network answer of /v1/network */
  constructor(network) {
    this.network = network;
    this.ends = new Map(network.branches.map(branch => [branch.id, branch]));
    this.#root.selectAll("*").remove();
    this.#layer = this.#root.append("g");
    this.#zoom = d3.zoom().scaleExtent([0.8, 60]).on("zoom", () => {
      this.#layer.attr("transform", d3.event.transform);
      if (d3.event.transform.k !== this.#scale) { this.#scale = d3.event.transform.k; this.#resize(); }
    });
    this.#root.call(this.#zoom).on("dblclick.zoom", null);
    this.#place();
  }

  #place() {
    const known = this.network.nodes.filter(node => typeof node.longitude === "number" && typeof node.latitude === "number");
    // Half a drawing would mislead: without all places the tree is the truth.
    const raw = known.length === this.network.nodes.length && known.length > 1 ? this.#map(known) : this.#tree();
    const [x0, x1] = d3.extent(raw.values(), p => p[0]), [y0, y1] = d3.extent(raw.values(), p => p[1]);
    const scale = Math.min((width - 2 * margin) / (x1 - x0 || 1), (height - 2 * margin) / (y1 - y0 || 1));
    const [dx, dy] = [(width - scale * (x1 - x0)) / 2, (height - scale * (y1 - y0)) / 2];
    for (const [id, [x, y]] of raw) this.#places.set(id, [dx + (x - x0) * scale, dy + (y - y0) * scale]);
  }

  #map(nodes) {
    const narrow = Math.cos(d3.mean(nodes, node => node.latitude) * Math.PI / 180);
    return new Map(nodes.map(node => [node.id, [node.longitude * narrow, -node.latitude]]));
  }

  /** A tree from the busbars down; what hangs on nothing stands below. */
  #tree() {
    const next = new Map(this.network.nodes.map(node => [node.id, []]));
    for (const branch of this.network.branches) { next.get(branch.from)?.push(branch); next.get(branch.to)?.push(branch); }
    const seen = new Set(), top = { children: [] };
    const starts = [...this.network.nodes].sort((a, b) => Number(b.kind.endsWith("busbar")) - Number(a.kind.endsWith("busbar")) || b.nominal_kv - a.nominal_kv);
    // Closed branches first: a tie belongs beside the tree, not into it.
    for (const start of starts) {
      if (seen.has(start.id)) continue;
      seen.add(start.id);
      const root = { id: start.id, children: [] };
      top.children.push(root);
      for (const level = [root]; level.length;) {
        const item = level.shift();
        for (const branch of next.get(item.id)) {
          const other = branch.from === item.id ? branch.to : branch.from;
          if (!branch.closed || seen.has(other)) continue;
          seen.add(other);
          const child = { id: other, children: [] };
          item.children.push(child);
          level.push(child);
        }
      }
    }
    const laid = d3.tree().nodeSize([1, 1.2])(d3.hierarchy(top));
    return new Map(laid.descendants().filter(item => item.data.id).map(item => [item.data.id, [item.x, item.y]]));
  }

  /**
   * @param picture answer of /v1/switching/network
   * @param place of the stage
   * @param feeders ids that the plan concerns
   */
  show(picture, place, plan, feeders) {
    this.picture = picture;
    this.stage = picture.stages[place];
    const { stage, network } = this, { limits } = picture;
    const column = new Map(picture.nodes.map((id, number) => [id, number]));
    const transformers = new Set(network.branches.filter(b => b.kind === "transformer").map(b => b.id));
    const medium = new Set(network.nodes.filter(n => n.nominal_kv >= 1 && n.nominal_kv < 60).map(n => n.id));
    const branches = picture.branches.map((id, number) => {
      const { from, to } = this.ends.get(id) ?? {};
      const feeder = [from, to].map(node => stage.feeder[column.get(node)]).find(f => f !== null && f !== undefined);
      const loading = stage.loading_pct[number];
      const limit = transformers.has(id) ? limits.transformer_loading_pct : limits.line_loading_pct;
      return {
        id, from, to, loading, closed: stage.closed[number], watts: stage.active_power_w[number],
        feeder: feeder === undefined ? null : picture.feeders[feeder],
        live: stage.energised[column.get(from)] && stage.energised[column.get(to)],
        over: loading !== null && loading > limit,
      };
    }).filter(branch => this.#places.has(branch.from) && this.#places.has(branch.to));
    const nodes = picture.nodes.map((id, number) => {
      const voltage = stage.voltage_pu[number], judged = medium.has(id) && voltage !== null;
      return {
        id, voltage, judged, live: stage.energised[number],
        out: judged && voltage > limits.mv_max_pu ? "high" : judged && voltage < limits.mv_min_pu ? "low" : "",
        feeder: stage.feeder[number] === null ? null : picture.feeders[stage.feeder[number]],
      };
    }).filter(node => this.#places.has(node.id));
    this.branches = branches;
    this.nodes = nodes;
    this.feeders = new Set(feeders);
    this.#draw(this.#switches(plan));
    return this.#summary(branches, nodes);
  }

  /** The plan's switches, drawn at the end where they stand. */
  #switches(plan) {
    return plan.steps.filter(step => this.stage.switches[step.element]).map(step => {
      const found = this.network.switches.find(item => item.id === step.element);
      const branch = this.ends.get(found.connects === "bus" ? found.id : found.element);
      const here = this.#places.get(found.node);
      const there = branch ? this.#places.get(branch.from === found.node ? branch.to : branch.from) : here;
      // A third of the way in, so that two switches at one node stay apart.
      const at = [0, 1].map(axis => here[axis] + (there[axis] - here[axis]) / 3);
      return { id: step.element, sequence: step.sequence, at, position: this.stage.switches[step.element] };
    });
  }

  #draw(switches) {
    const place = id => this.#places.get(id), concerned = feeder => !this.feeders.size || this.feeders.has(feeder);
    const lines = this.#layer.selectAll("line.branch").data(this.branches, item => item.id).join(
      enter => enter.append("line").each(function () { d3.select(this).append("title"); }));
    lines.attr("class", item => ["branch", item.closed ? "" : "open", item.live ? "" : "dead", item.over ? "over" : "", concerned(item.feeder) ? "" : "aside"].join(" "))
      .attr("x1", item => place(item.from)[0]).attr("y1", item => place(item.from)[1])
      .attr("x2", item => place(item.to)[0]).attr("y2", item => place(item.to)[1])
      .attr("stroke-width", item => item.over ? 6 : 1 + (item.loading ?? 0) / 100 * 4);
    lines.select("title").text(item => `${item.id}: ${item.closed ? percent(item.loading) : "open"}, ${item.watts === null ? "power not known" : `${power(Math.abs(item.watts))} ${item.watts < 0 ? `from ${item.to} to ${item.from}` : `from ${item.from} to ${item.to}`}`}; ${item.feeder ?? "no feeder"}`);
    const dots = this.#layer.selectAll("circle.node").data(this.nodes, item => item.id).join(
      enter => enter.append("circle").each(function () { d3.select(this).append("title"); }));
    dots.attr("class", item => ["node", item.live ? "" : "dead", item.out, concerned(item.feeder) ? "" : "aside"].join(" "))
      .attr("cx", item => place(item.id)[0]).attr("cy", item => place(item.id)[1]);
    dots.select("title").text(item => `${item.id}: ${item.live ? perUnit(item.voltage) : "dead"}; ${item.feeder ?? "no feeder"}`);
    const marks = this.#layer.selectAll("g.switch").data(switches, item => item.sequence).join(enter => {
      const mark = enter.append("g");
      mark.append("title"); mark.append("rect").attr("x", -5).attr("y", -5).attr("width", 10).attr("height", 10); mark.append("text").attr("x", 8).attr("y", 4);
      return mark;
    });
    marks.attr("class", item => `switch ${item.position}`);
    marks.select("title").text(item => `${item.id}: ${item.position}`);
    marks.select("text").text(item => `${item.sequence}`);
    const labels = [
      ...this.branches.filter(item => item.over).sort((a, b) => b.loading - a.loading)
        .map(item => ({ key: item.id, text: `▲ ${percent(item.loading)}`, at: [0, 1].map(axis => (place(item.from)[axis] + place(item.to)[axis]) / 2) })),
      ...this.nodes.filter(item => item.out).sort((a, b) => Math.abs(b.voltage - 1) - Math.abs(a.voltage - 1))
        .map(item => ({ key: item.id, text: `${item.out === "high" ? "▲" : "▼"} ${perUnit(item.voltage)}`, at: place(item.id) })),
    ];
    this.#layer.selectAll("text.beyond").data(labels, item => item.key).join("text").attr("class", "beyond").text(item => item.text);
    this.#layer.selectAll("text.beyond,g.switch").raise();
    this.#resize();
  }

  /** Marks and words keep their size however near one looks. */
  #resize() {
    const k = this.#scale;
    this.#layer.selectAll("circle.node").attr("r", item => (item.out ? 5 : 1.8) / k);
    const steady = item => `translate(${item.at[0]},${item.at[1]}) scale(${1 / k})`;
    this.#layer.selectAll("g.switch").attr("transform", steady);
    // The worst first; what would lie on another is left to the table and the titles.
    const taken = [];
    this.#layer.selectAll("text.beyond").attr("transform", item => `${steady(item)} translate(8,-6)`).attr("display", item => {
      if (taken.some(at => Math.abs(at[0] - item.at[0]) * k < 90 && Math.abs(at[1] - item.at[1]) * k < 16)) return "none";
      taken.push(item.at);
      return null;
    });
  }

  /** Brings feeders into view; none: everything. */
  look(feeders) {
    const wanted = feeders ? this.nodes.filter(node => feeders.has(node.feeder)).map(node => this.#places.get(node.id)) : [];
    if (!wanted.length) { this.#root.call(this.#zoom.transform, d3.zoomIdentity); return; }
    const [x0, x1] = d3.extent(wanted, p => p[0]), [y0, y1] = d3.extent(wanted, p => p[1]);
    const k = Math.min(60, (width - 2 * margin) / (x1 - x0 || 1), (height - 2 * margin) / (y1 - y0 || 1));
    this.#root.call(this.#zoom.transform, d3.zoomIdentity.translate(width / 2, height / 2).scale(k).translate(-(x0 + x1) / 2, -(y0 + y1) / 2));
  }

  nearer(factor) { this.#root.call(this.#zoom.scaleBy, factor); }

  #summary(branches, nodes) {
    const dead = nodes.filter(node => !node.live).length;
    const loaded = branches.filter(branch => branch.loading !== null).sort((a, b) => b.loading - a.loading);
    const judged = nodes.filter(node => node.judged).sort((a, b) => Math.abs(b.voltage - 1) - Math.abs(a.voltage - 1));
    const rows = [
      ...loaded.slice(0, 3).map(item => [item.id, `${percent(item.loading)}${item.over ? " ▲" : ""}`, `${power(Math.abs(item.watts))}, ${item.feeder ?? "no feeder"}`]),
      ...judged.slice(0, 3).map(item => [item.id, `${perUnit(item.voltage)}${item.out ? (item.out === "high" ? " ▲" : " ▼") : ""}`, item.feeder ?? "no feeder"]),
    ].map(texts => el("tr", {}, el("td", {}, texts[0]), el("td", { class: "number" }, texts[1]), el("td", {}, texts[2])));
    const over = branches.filter(branch => branch.over).length, out = nodes.filter(node => node.out).length;
    const note = this.stage.problem ? `No numbers: ${this.stage.problem}.`
      : `${dead ? `${dead} nodes dead` : "Every node is fed"}; ${over ? `${over} branches beyond their rating` : "no branch beyond its rating"}; ${out ? `${out} voltages beyond limits` : "voltages within limits"}. On loads and DER of now.`;
    return { note, rows };
  }
}
