// The network in one switching state: drawn where it lies, as a one-line diagram of a feeder, or as a tree where nobody has
// given places. Grey is normal; what is beyond a limit has colour, a thick stroke and its value beside it.
"use strict";
import { shapes } from "./advisory-words.js";
import { el, percent, perUnit, power } from "./common.js";

const margin = 24;

export class Picture {
  #root = d3.select("#picture");
  #width = 600;
  #height = 420;
  #oneLine = null;
  #laid = "";
  #layer;
  #zoom;
  #places = new Map();
  #scale = 1;

  /** @param network answer of /v1/network */
  constructor(network) {
    this.network = network;
    this.ends = new Map(network.branches.map(branch => [branch.id, branch]));
    [, , this.#width, this.#height] = this.#root.attr("viewBox").split(" ").map(Number);
    this.#root.selectAll("*").remove();
    this.#layer = this.#root.append("g");
    this.#zoom = d3.zoom().scaleExtent([0.8, 60]).on("zoom", () => {
      this.#layer.attr("transform", d3.event.transform);
      if (d3.event.transform.k !== this.#scale) { this.#scale = d3.event.transform.k; this.#resize(); }
    });
    this.#root.call(this.#zoom).on("dblclick.zoom", null);
    this.#place();
  }

  /** @param feeder whose one-line diagram is drawn; null: everything, where it lies */
  arrange(feeder) {
    if (feeder === this.#oneLine) return;
    this.#oneLine = feeder;
    this.#laid = "";
    if (!feeder) { this.#places.clear(); this.#place(); }
    this.look(null);
  }

  #place() {
    const [width, height] = [this.#width, this.#height];
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

  /** The feeder from its busbar to the right; what an open switch keeps apart hangs at its end as the neighbour's node. */
  #layOneLine(picture, column) {
    const { stage } = this, own = picture.feeders.indexOf(this.#oneLine);
    const isOwn = id => stage.feeder[column.get(id)] === own;
    const next = new Map();
    picture.branches.forEach((id, number) => {
      const { from, to } = this.ends.get(id) ?? {};
      if (!isOwn(from) && !isOwn(to)) return;
      const closed = stage.closed[number];
      for (const [here, there] of [[from, to], [to, from]]) {
        if (!next.has(here)) next.set(here, []);
        next.get(here).push({ there, closed });
      }
    });
    const key = JSON.stringify([this.#oneLine, [...next].map(([id, list]) => [id, list])]);
    if (key === this.#laid) return;
    this.#laid = key;
    this.#places.clear();
    const isBusbar = new Set(this.network.nodes.filter(node => node.kind.endsWith("busbar")).map(node => node.id));
    // The substation first; a feeder that another one feeds starts where it is entered.
    const starts = [...next.keys()].sort((a, b) => Number(isBusbar.has(b)) - Number(isBusbar.has(a)) || Number(isOwn(a)) - Number(isOwn(b)));
    const seen = new Set(), top = { children: [] };
    for (const start of starts) {
      if (seen.has(start) || (!isOwn(start) && !next.get(start).some(item => item.closed))) continue;
      seen.add(start);
      const root = { id: start, children: [] };
      top.children.push(root);
      for (const level = [root]; level.length;) {
        const item = level.shift();
        for (const { there } of next.get(item.id).filter(found => found.closed)) {
          if (seen.has(there)) continue;
          seen.add(there);
          const child = { id: there, children: [] };
          item.children.push(child);
          level.push(child);
        }
      }
    }
    for (const root of top.children) hang(root);
    function hang(item) {
      for (const child of item.children) hang(child);
      for (const { there, closed } of next.get(item.id)) {
        if (closed || seen.has(there)) continue;
        seen.add(there);
        item.children.push({ id: there, children: [] });
      }
    }
    const laid = d3.tree().nodeSize([1, 1]).separation(() => 1)(d3.hierarchy(top)).descendants().filter(item => item.data.id);
    const [y0, y1] = d3.extent(laid, item => item.x), [x0, x1] = d3.extent(laid, item => item.y);
    const [w, h] = [this.#width - 5 * margin, this.#height - 2 * margin];
    for (const item of laid) {
      this.#places.set(item.data.id, [margin + (item.y - x0) / (x1 - x0 || 1) * w, margin + (item.x - y0) / (y1 - y0 || 1) * h]);
    }
  }

  /** Closed branches from the sources: what goes against them feeds back. */
  #depths(picture, column) {
    const depth = new Map(), next = new Map(), level = [];
    picture.branches.forEach((id, number) => {
      const { from, to } = this.ends.get(id) ?? {};
      if (!this.stage.closed[number]) return;
      for (const [here, there] of [[from, to], [to, from]]) { if (!next.has(here)) next.set(here, []); next.get(here).push(there); }
    });
    const top = d3.max(this.network.nodes, node => node.nominal_kv);
    for (const node of this.network.nodes) if (node.nominal_kv === top && this.stage.energised[column.get(node.id)]) { depth.set(node.id, 0); level.push(node.id); }
    while (level.length) {
      const here = level.shift();
      for (const there of next.get(here) ?? []) if (!depth.has(there)) { depth.set(there, depth.get(here) + 1); level.push(there); }
    }
    return depth;
  }

  /**
   * @param picture answer of /v1/switching/network
   * @param place of the stage
   * @param switches to be marked: id, position, label, abnormal
   * @param feeders ids that are looked at; none: all
   */
  show(picture, place, switches, feeders) {
    this.picture = picture;
    this.stage = picture.stages[place];
    const { stage, network } = this, { limits } = picture;
    const column = new Map(picture.nodes.map((id, number) => [id, number]));
    if (this.#oneLine) this.#layOneLine(picture, column);
    const depth = this.#depths(picture, column);
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
        reverse: (stage.active_power_w[number] ?? 0) * (depth.get(to) - depth.get(from)) < 0,
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
    this.#draw(switches.map(item => ({ ...item, at: this.#switchPlace(item.id) })).filter(item => item.at));
    return this.#summary(branches, nodes);
  }

  /** At the end where it stands; a third of the way in, so that two switches at one node stay apart. */
  #switchPlace(id) {
    const found = this.network.switches.find(item => item.id === id);
    const branch = this.ends.get(found?.connects === "bus" ? found.id : found?.element);
    const here = this.#places.get(found?.node);
    const there = branch ? this.#places.get(branch.from === found.node ? branch.to : branch.from) : here;
    if (!here || !there) return null;
    if (this.#oneLine) return this.#along(here, there, 1 / 3).at;
    return [0, 1].map(axis => here[axis] + (there[axis] - here[axis]) / 3);
  }

  /** A one-line diagram has corners: down or up first, then to the right. */
  #path(a, b) {
    if (!this.#oneLine) return `M${a}L${b}`;
    const [left, right] = a[0] <= b[0] ? [a, b] : [b, a];
    return `M${left}V${right[1]}H${right[0]}`;
  }

  /** A point on the way from one place to another, and the way's direction there in degrees. */
  #along(a, b, part) {
    if (!this.#oneLine) return { at: [0, 1].map(axis => a[axis] + (b[axis] - a[axis]) * part), turn: Math.atan2(b[1] - a[1], b[0] - a[0]) * 180 / Math.PI };
    const [left, right] = a[0] <= b[0] ? [a, b] : [b, a];
    // On the level part, which every branch but a tie between equals has.
    return { at: [left[0] + (right[0] - left[0]) * (a[0] <= b[0] ? part : 1 - part), right[1]], turn: a[0] <= b[0] ? 0 : 180 };
  }

  /**
   * Marks where something calls: at the element, or else amid the feeder. At one place the worst severity stands, with
   * how many there are.
   *
   * @param advisories the worst first
   */
  call(advisories) {
    const places = new Map();
    for (const advisory of advisories) {
      const at = this.#placeOf(advisory);
      if (!at) continue;
      const key = String(at), known = places.get(key);
      places.set(key, known ? { ...known, texts: [...known.texts, advisory.message] } : { key, at, severity: advisory.severity, name: advisory.feeder, texts: [advisory.message] });
    }
    this.#layer.selectAll("g.call").data([...places.values()], item => item.key).join(enter => {
      const mark = enter.append("g");
      mark.append("title"); mark.append("text").attr("x", -8).attr("y", -10).attr("text-anchor", "end");
      return mark;
    }).attr("class", item => `call s${item.severity}`).each(function (item) {
      d3.select(this).select("title").text(item.texts.join("\n"));
      d3.select(this).select("text").text(`${shapes[item.severity]}${item.severity}${item.texts.length > 1 ? `×${item.texts.length}` : ""} ${item.name}`);
    }).raise();
    this.#resize();
  }

  /** Whether the network has an element of that name, so that one can point at it. */
  has(id) { return this.ends.has(id) || this.network.nodes.some(item => item.id === id) || this.network.switches.some(item => item.id === id); }

  /** Of an advisory: its element, where that is drawn; else the feeder's node that is nearest to the middle of it. */
  #placeOf({ element, feeder }) {
    const branch = this.branches.find(item => item.id === element);
    if (this.#places.has(element)) return this.#places.get(element);
    if (this.network.switches.some(item => item.id === element)) return this.#switchPlace(element);
    if (branch) return this.#along(this.#places.get(branch.from), this.#places.get(branch.to), 1 / 2).at;
    const own = this.nodes.filter(node => node.feeder === feeder).map(node => this.#places.get(node.id));
    if (!own.length) return null;
    const middle = [0, 1].map(axis => d3.mean(own, at => at[axis]));
    return own.reduce((best, at) => Math.hypot(at[0] - middle[0], at[1] - middle[1]) < Math.hypot(best[0] - middle[0], best[1] - middle[1]) ? at : best);
  }

  /** Marks an element, and brings it into view. @returns what is known of it, or null */
  point(id, moves = true) {
    const found = this.network.switches.find(item => item.id === id);
    const branch = this.branches.find(item => item.id === (found && found.connects !== "bus" ? found.element : id));
    const node = this.nodes.find(item => item.id === id);
    const at = node ? this.#places.get(id) : found ? this.#switchPlace(id) : branch ? this.#along(this.#places.get(branch.from), this.#places.get(branch.to), 1 / 2).at : null;
    this.#layer.selectAll("circle.pointed").data(at ? [at] : []).join("circle").attr("class", "pointed").attr("cx", item => item[0]).attr("cy", item => item[1]).raise();
    if (!at) return null;
    if (!moves) { this.#resize(); return { node, branch, switch: found }; }
    const k = Math.max(this.#scale, 4);
    this.#root.call(this.#zoom.transform, d3.zoomIdentity.translate(this.#width / 2, this.#height / 2).scale(k).translate(-at[0], -at[1]));
    this.#resize();
    return { node, branch, switch: found };
  }

  #branchText(item) {
    return `${item.id}: ${item.closed ? percent(item.loading) : "open"}, ${item.watts === null ? "power not known" : `${power(Math.abs(item.watts))} ${item.watts < 0 ? `from ${item.to} to ${item.from}` : `from ${item.from} to ${item.to}`}${item.reverse ? ", back towards the source" : ""}`}; ${item.feeder ?? "no feeder"}`;
  }

  #nodeText(item) { return `${item.id}: ${item.live ? perUnit(item.voltage) : "dead"}; ${item.feeder ?? "no feeder"}`; }

  /** What is known of something that {@link point} found. */
  words(item) {
    return [item.switch ? `${item.switch.id}: at ${item.switch.node} on ${item.switch.element}.` : "", item.node ? `${this.#nodeText(item.node)}.` : "", item.branch ? `${this.#branchText(item.branch)}.` : ""].filter(Boolean).join(" ");
  }

  #draw(switches) {
    const place = id => this.#places.get(id), concerned = feeder => !this.feeders.size || this.feeders.has(feeder);
    const lines = this.#layer.selectAll("path.branch").data(this.branches, item => item.id).join(
      enter => enter.append("path").each(function () { d3.select(this).append("title"); }));
    lines.attr("class", item => ["branch", item.closed ? "" : "open", item.live ? "" : "dead", item.over ? "over" : "", concerned(item.feeder) ? "" : "aside"].join(" "))
      .attr("d", item => this.#path(place(item.from), place(item.to)))
      .attr("stroke-width", item => item.over ? 6 : 1 + (item.loading ?? 0) / 100 * 4);
    lines.select("title").text(item => this.#branchText(item));
    const flows = this.branches.filter(item => item.closed && item.live && Math.abs(item.watts ?? 0) >= 1000).map(item => {
      const [a, b] = item.watts > 0 ? [item.from, item.to] : [item.to, item.from];
      return { ...item, ...this.#along(place(a), place(b), 1 / 2), length: Math.hypot(place(a)[0] - place(b)[0], place(a)[1] - place(b)[1]) };
    });
    this.#layer.selectAll("path.flow").data(flows, item => item.id).join("path").attr("d", "M-4,-3.5L5,0L-4,3.5Z")
      .attr("class", item => ["flow", item.reverse ? "reverse" : "", concerned(item.feeder) ? "" : "aside"].join(" "));
    const dots = this.#layer.selectAll("circle.node").data(this.nodes, item => item.id).join(
      enter => enter.append("circle").each(function () { d3.select(this).append("title"); }));
    dots.attr("class", item => ["node", item.live ? "" : "dead", item.out, concerned(item.feeder) ? "" : "aside"].join(" "))
      .attr("cx", item => place(item.id)[0]).attr("cy", item => place(item.id)[1]);
    dots.select("title").text(item => this.#nodeText(item));
    const names = this.#oneLine ? this.nodes.map(item => ({ id: item.id, at: place(item.id) })) : [];
    this.#layer.selectAll("text.name").data(names, item => item.id).join("text").attr("class", "name").text(item => item.id);
    const marks = this.#layer.selectAll("g.switch").data(switches, item => `${item.id} ${item.label}`).join(enter => {
      const mark = enter.append("g");
      mark.append("title"); mark.append("rect").attr("x", -5).attr("y", -5).attr("width", 10).attr("height", 10); mark.append("text").attr("x", 8).attr("y", 4);
      return mark;
    });
    marks.attr("class", item => `switch ${item.position}${item.abnormal ? " abnormal" : ""}`);
    marks.select("title").text(item => `${item.id}: ${item.position}`);
    marks.select("text").text(item => item.label);
    const labels = [
      ...this.branches.filter(item => item.over).sort((a, b) => b.loading - a.loading)
        .map(item => ({ key: item.id, text: `▲ ${percent(item.loading)}`, at: [0, 1].map(axis => (place(item.from)[axis] + place(item.to)[axis]) / 2) })),
      ...this.nodes.filter(item => item.out).sort((a, b) => Math.abs(b.voltage - 1) - Math.abs(a.voltage - 1))
        .map(item => ({ key: item.id, text: `${item.out === "high" ? "▲" : "▼"} ${perUnit(item.voltage)}`, at: place(item.id) })),
    ];
    this.#layer.selectAll("text.beyond").data(labels, item => item.key).join("text").attr("class", "beyond").text(item => item.text);
    this.#layer.selectAll("path.flow,text.beyond,g.switch,circle.pointed").raise();
    this.#resize();
  }

  /** Marks and words keep their size however near one looks. */
  #resize() {
    const k = this.#scale;
    this.#layer.selectAll("circle.node").attr("r", item => (item.out ? 5 : 1.8) / k);
    this.#layer.selectAll("circle.pointed").attr("r", 12 / k);
    const steady = item => `translate(${item.at[0]},${item.at[1]}) scale(${1 / k})`;
    // An arrow longer than its line says nothing.
    this.#layer.selectAll("path.flow").attr("transform", item => `${steady(item)} rotate(${item.turn})`).attr("display", item => item.length * k < 16 ? "none" : null);
    this.#layer.selectAll("g.switch").attr("transform", steady);
    // What calls is never left out: where two would lie on each other, one stands above the other.
    const called = [];
    this.#layer.selectAll("g.call").attr("transform", item => {
      let lift = 0;
      while (called.some(([x, y]) => Math.abs(x - item.at[0] * k) < 80 && Math.abs(y - (item.at[1] * k - lift)) < 15)) lift += 15;
      called.push([item.at[0] * k, item.at[1] * k - lift]);
      return `${steady(item)} translate(0,${-lift})`;
    });
    // The worst first; what would lie on another is left to the table and the titles.
    const taken = [];
    const unlessTaken = item => {
      if (taken.some(at => Math.abs(at[0] - item.at[0]) * k < 90 && Math.abs(at[1] - item.at[1]) * k < 16)) return "none";
      taken.push(item.at);
      return null;
    };
    this.#layer.selectAll("text.beyond").attr("transform", item => `${steady(item)} translate(8,-6)`).attr("display", unlessTaken);
    this.#layer.selectAll("text.name").attr("transform", item => `${steady(item)} translate(4,12)`).attr("display", unlessTaken);
  }

  /** Brings feeders into view; none: everything. */
  look(feeders) {
    const [width, height] = [this.#width, this.#height];
    const wanted = feeders ? this.nodes.filter(node => feeders.has(node.feeder) && this.#places.has(node.id)).map(node => this.#places.get(node.id)) : [];
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
