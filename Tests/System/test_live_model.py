"""The load flow of now beside what is measured: where the two do not agree nothing is approved, and nothing is shown."""
import csv
import time

import pytest
from conftest import Publisher, Service, rfc3339, run, wait_for
from test_switching import found

# The network of docs/first-steps.md, once for each of: no loads at all, loads without q_kvar, two cables to A, as it is.
BARE, ACTIVE, CABLES, WHOLE = range(4)
KILOVARS = {"A": 200, "B": 150, "C": 250}


def write(place, name, rows):
    with open(place / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def networks(folder):
    place = folder / "four/network"
    place.mkdir(parents=True)
    tables = {name: [] for name in ("nodes", "lines", "transformers", "switches", "feeders", "ties", "loads", "ders", "sources")}
    for n in (BARE, ACTIVE, CABLES, WHOLE):
        def line(name, a, b, kilometres):
            tables["lines"].append({"line_id": f"{name}{n}", "from_node": f"{a}{n}", "to_node": f"{b}{n}", "length_km": kilometres, "r_ohm": 0.125 * kilometres, "x_ohm": 0.115 * kilometres, "c_nf": 250 * kilometres, "max_i_a": 300})

        def switch(name, node, element, state="closed"):
            tables["switches"].append({"switch_id": f"{name}{n}", "kind": "CB" if name[0] == "C" else "LBS", "connects": "line", "node_id": f"{node}{n}", "element_id": f"{element}{n}", "normal_state": state, "role": "feeder_head" if name[0] == "C" else ""})

        def feeder(name, head, breaker):
            tables["feeders"].append({"feeder_id": f"{name}-{n}", "busbar_node": f"MV{n}", "head_line_id": f"{head}{n}", "head_switch_id": f"{breaker}{n}", "head_rating_a": 300})
        tables["nodes"] += [{"node_id": f"{node}{n}", "vn_kv": 110 if node == "HV" else 20, "kind": {"HV": "hv_busbar", "MV": "mv_busbar"}.get(node, "mv_node"), "substation_id": f"S{n}" if node[-1] == "V" else ""} for node in ("HV", "MV", "A", "B", "C")]
        line("L-MV-A", "MV", "A", 2)
        line("L-A-B", "A", "B", 2)
        line("L-MV-C", "MV", "C", 3)
        line("L-B-C", "B", "C", 1)
        tables["transformers"].append({"transformer_id": f"T{n}", "hv_node": f"HV{n}", "lv_node": f"MV{n}", "sn_kva": 25_000, "vn_hv_kv": 110, "vn_lv_kv": 20, "vk_percent": 12, "vkr_percent": 0.4, "shift_degree": 150})
        switch("CB1-", "MV", "L-MV-A")
        switch("CB2-", "MV", "L-MV-C")
        switch("S-A-", "A", "L-A-B")
        switch("TIE-", "C", "L-B-C", "open")
        feeder("F1", "L-MV-A", "CB1-")
        feeder("F2", "L-MV-C", "CB2-")
        tables["ties"].append({"tie_id": f"T0{n}", "switch_id": f"TIE-{n}", "line_id": f"L-B-C{n}", "open_at_node": f"C{n}", "far_node": f"B{n}", "feeder_a": f"F2-{n}", "feeder_b": f"F1-{n}"})
        if n == CABLES:
            line("L-MV-A.b", "MV", "A", 2)
            switch("CB1b-", "MV", "L-MV-A.b")
            feeder("F1b", "L-MV-A.b", "CB1b-")
        if n != BARE:
            tables["loads"] += [{"load_id": f"LD-{node}{n}", "node_id": f"{node}{n}", "p_kw": {"A": 800, "B": 600, "C": 900}[node], "q_kvar": "" if n == ACTIVE else q} for node, q in KILOVARS.items()]
        tables["ders"].append({"der_id": f"pv-{n}", "kind": "pv", "node_id": f"B{n}", "rated_kw": 2500})
        tables["sources"].append({"source_id": f"SRC{n}", "node_id": f"HV{n}", "vm_pu": 1.02, "va_degree": 0})
    for name, rows in tables.items():
        write(place, name, rows)
    return folder / "four"


def plan(n, *steps):
    return {"id": f"P{n}", "kind": "LOAD_TRANSFER", "author": "kim", "hold_hours": 1, "policy": {"allow_transient_loop": True},
            "steps": [{"sequence": k + 1, "action": action, "element": f"{element}{n}"} for k, (action, element) in enumerate(steps)]}


def take_over(n):
    """F2 takes all of F1."""
    return plan(n, ("close", "TIE-"), ("open", "CB1-"))


@pytest.fixture
def measured(folder):
    doubts = run("network", "check", networks(folder)).stdout
    assert f"feeders F1-{BARE}, F2-{BARE} have no load with p_kw above 0" in doubts
    run("network", "import", folder / "four", "--data-dir", folder / "state")
    service = Service(folder)
    service.send("POST", "/v1/safety/declare", {"actor": "ann", "reason": "nothing is in force"})
    yield service
    service.stop()


def say(publisher, heads, **more):
    """What the heads say for a minute, up to now; W, var and A by name."""
    now = int(time.time())
    publisher.samples(*(
        {"device": f"FH-{name}", "time": rfc3339(at), "active_power_w": watts, **({"reactive_power_var": var} if var is not None else {}), **({"current_a": amperes} if amperes else {})}
        for at in range(now - 240, now + 1, 5) for name, (watts, var, amperes) in heads.items()),
        *({"device": f"pv-{n}", "time": rfc3339(now), "active_power_w": 0} for n in range(4)))


def test_no_verdict_and_no_number_where_meters_and_model_differ(measured):
    publisher = Publisher(measured, "SCADA")
    # A plan that moves a breaker at a busbar concerns every feeder: first nothing flows where no load could take it.
    truth = {
        f"F1-{BARE}": (0, None, None), f"F2-{BARE}": (0, None, None),
        f"F1-{ACTIVE}": (4.6e6, 3.5e6, 164.4), f"F2-{ACTIVE}": (4.6e6, 3.5e6, 164.4),
        f"F1-{CABLES}": (6e6, 0.5e6, 171), f"F1b-{CABLES}": (6e6, 0.5e6, 171), f"F2-{CABLES}": (0.9e6, 0.2e6, None),
        f"F1-{WHOLE}": (1.4e6, 0.3e6, None), f"F2-{WHOLE}": (0.9e6, 0.25e6, None)}
    say(publisher, truth)

    def judge(plan):
        status, verdict = measured.send("POST", "/v1/switching/validate", plan)
        assert status == 200, verdict
        return verdict
    fresh = wait_for(lambda: not found(v := judge(take_over(WHOLE)), "X2", "UNKNOWN") and v, what="fresh heads")
    assert fresh["verdict"] in ("APPROVE", "APPROVE_WITH_CONDITIONS"), fresh["findings"]

    # Reactive power as measured, where the data have none.
    active = judge(take_over(ACTIVE))
    assert active["verdict"] == "REJECT" and not found(active, "X2", "UNKNOWN")
    assert active["steps"][0]["worst_loading_pct"] == pytest.approx(56, abs=2.5) and active["steps"][-1]["worst_loading_pct"] > 105
    # Two cables carry what both meters say; one alone would carry it all.
    cables = judge(plan(CABLES, ("open", "CB1b-")))
    assert cables["verdict"] == "REJECT" and not found(cables, "X2", "UNKNOWN")
    assert any(f["value"] > 112 for f in found(cables, "H1", "BLOCK_SOFT") + found(cables, "H1", "BLOCK_HARD"))
    assert cables["steps"][0]["heads"][f"F1-{CABLES}"]["active_power_w"] == pytest.approx(6e6, rel=0.02)

    # 8 MW that no load can take.
    truth |= {f"F1-{BARE}": (8.2e6, None, None), f"F2-{BARE}": (8.1e6, None, None)}
    say(publisher, truth)
    bare = wait_for(lambda: found(v := judge(take_over(BARE)), "X2", "UNKNOWN") and v, what="the megawatts")
    assert bare["verdict"] == "CANNOT_ASSESS" and all("worst_loading_pct" not in step for step in bare["steps"])
    assert {f"F1-{BARE}", f"F2-{BARE}"} == {e for f in found(bare, "X2", "UNKNOWN") for e in f["elements"]}
    assert any("8.2 MW" in f["message"] and "no load" in f["message"] for f in found(bare, "X2", "UNKNOWN"))
    state = wait_for(lambda: (s := measured.get("/v1/network/state"))["contradicted_feeders"] and s, what="the network page")
    told = dict(zip(state["branches"], state["stage"]["active_power_w"]))
    assert state["contradicted_feeders"] == [f"F1-{BARE}", f"F2-{BARE}"] and len(state["model_doubts"]) == 2
    assert told[f"L-MV-A{BARE}"] is None and told[f"L-MV-A{WHOLE}"] == pytest.approx(1.4e6, rel=0.01) and told[f"L-MV-A.b{CABLES}"] == pytest.approx(6e6, rel=0.02)

    # A head that says one thing in W and another in A; a busbar 4 % off.
    say(publisher, {**truth, f"F1-{BARE}": (0, None, None), f"F2-{BARE}": (0, None, None), f"F1-{WHOLE}": (1.4e6, 0.3e6, 140)})
    publisher.samples({"device": f"VM-MV{CABLES}", "time": rfc3339(time.time()), "voltage_v": 19_500})
    head = f"FH-F1-{WHOLE}"
    finding = wait_for(lambda: [f for f in found(judge(take_over(WHOLE)), "X2", "UNKNOWN") if head in f["elements"]], what="a contradiction")[0]
    assert finding["elements"] == [f"F1-{WHOLE}", head] and finding["unit"] == "A" and finding["value"] == 140
    assert "measures 140.0 A" in finding["message"] and "the model of now has" in finding["message"]
    state = wait_for(lambda: (s := measured.get("/v1/network/state")) and len({c["device"] for c in s["contradictions"]}) > 1 and s, what="the network page")
    assert {(c["device"], c["quantity"]) for c in state["contradictions"]} >= {(f"FH-F1-{WHOLE}", "current_a"), (f"VM-MV{CABLES}", "voltage_pu")}
    assert {f"F1-{WHOLE}", f"F1-{CABLES}", f"F2-{CABLES}"} <= set(state["contradicted_feeders"])
    assert "VM-MV" in str(found(judge(take_over(CABLES)), "X2", "UNKNOWN"))
