"""The console with many feeders: 300 of them, 10,000 nodes."""
import csv
import math
import re
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import OUTPUT, Publisher, Service, rfc3339, run, wait_for
from playwright.sync_api import expect
from test_console import browser, open_page  # noqa: F401: a fixture

FEEDERS, NODES = 300, 33


def write(folder, name, rows):
    with open(folder / f"{name}.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def large_network(folder):
    """Thirty substations of ten feeders, each a line of nodes outwards with a plant on every third."""
    place = folder / "large/network"
    place.mkdir(parents=True)
    nodes, lines, transformers, switches, feeders, sources, loads, ders = ([] for _ in range(8))
    for bank in range(FEEDERS // 10):
        x, y = bank % 6, bank // 6
        lon, lat = 10 + x * 0.3, 52 + y * 0.2
        nodes += [{"node_id": f"HV{bank}", "vn_kv": 110, "kind": "hv_busbar", "substation_id": f"SUB{bank}", "lon": lon, "lat": lat},
                  {"node_id": f"MV{bank}", "vn_kv": 20, "kind": "mv_busbar", "substation_id": f"SUB{bank}", "lon": lon, "lat": lat}]
        sources.append({"source_id": f"SRC{bank}", "node_id": f"HV{bank}", "vm_pu": 1, "va_degree": 0})
        transformers.append({"transformer_id": f"T{bank}", "hv_node": f"HV{bank}", "lv_node": f"MV{bank}", "sn_kva": 40_000, "vn_hv_kv": 110, "vn_lv_kv": 20, "vk_percent": 16, "vkr_percent": 0.4})
        for number in range(10):
            feeder = f"F{bank * 10 + number:03d}"
            angle = 2 * math.pi * number / 10
            before = f"MV{bank}"
            for step in range(1, NODES + 1):
                node = f"{feeder}-{step}"
                nodes.append({"node_id": node, "vn_kv": 20, "kind": "mv_node", "substation_id": "", "lon": round(lon + 0.003 * step * math.cos(angle), 5), "lat": round(lat + 0.002 * step * math.sin(angle), 5)})
                lines.append({"line_id": f"L-{node}", "from_node": before, "to_node": node, "length_km": 0.3, "r_ohm": 0.1, "x_ohm": 0.04, "c_nf": 60, "max_i_a": 300})
                loads.append({"load_id": f"LD-{node}", "node_id": node, "p_kw": 50, "q_kvar": 0})
                if step % 3 == 0:
                    ders.append({"der_id": f"pv-{node}", "kind": "pv", "node_id": node, "rated_kw": 200})
                before = node
            switches.append({"switch_id": f"CB-{feeder}", "connects": "line", "node_id": f"MV{bank}", "element_id": f"L-{feeder}-1", "normal_state": "closed", "role": "feeder_head"})
            feeders.append({"feeder_id": feeder, "busbar_node": f"MV{bank}", "head_line_id": f"L-{feeder}-1", "substation_id": f"SUB{bank}", "head_switch_id": f"CB-{feeder}", "head_rating_a": 300})
    for name, rows in (("nodes", nodes), ("lines", lines), ("transformers", transformers), ("switches", switches), ("feeders", feeders), ("sources", sources), ("loads", loads), ("ders", ders)):
        write(place, name, rows)
    return folder / "large"


@pytest.fixture
def large(folder):
    run("network", "import", large_network(folder), "--data-dir", folder / "state")
    service = Service(folder)
    # Every head imports, but for one that feeds back, and one that is silent.
    publisher = Publisher(service, "SCADA")
    start = int(time.time()) - 300
    for second in range(0, 300, 5):
        publisher.samples(*({"device": f"FH-F{number:03d}", "time": rfc3339(start + second), "active_power_w": -2_500_000 - second if number == 217 else 1_000_000 + 1000 * number + second, "reactive_power_var": 200_000}
                            for number in range(FEEDERS) if number != 131))
    service.publisher, service.at = publisher, start + 300
    yield service
    service.stop()


def test_three_hundred_feeders_are_usable(large, browser):  # noqa: F811
    wait_for(lambda: large.get("/v1/advisories?feeder=F217&kind=reverse_power&state=active")["items"], what="an advisory")
    page = open_page(browser, large)
    rows = page.locator("#feeders tbody tr")
    expect(rows).to_have_count(FEEDERS, timeout=20_000)
    order = lambda: [row.get_attribute("data-feeder") for row in rows.all()[:3]]  # noqa: E731
    # What feeds back stands first, then the silent head, then the rest by name.
    wait_for(lambda: order() == ["F217", "F131", "F000"], what="the order")
    expect(page.locator("#feeders-note")).to_have_text("to look at: 2")
    expect(page.locator("#chart-title")).to_have_text(re.compile("Power at the head of F"))
    # The advisories begin on the first screen, however many feeders there are.
    assert page.locator("#advisories-title").bounding_box()["y"] < 700
    expect(page.locator("#advisories tbody tr", has_text="F217")).to_be_visible()
    page.locator('button[data-feeder="F217"]').click()
    expect(page.locator("#chart-title")).to_have_text("Power at the head of F217")
    # A list that is scrolled stays where it is while values come.
    page.locator(".rows").evaluate("box => box.scrollTo(0, 4000)")
    time.sleep(2.5)
    assert page.locator(".rows").evaluate("box => box.scrollTop") == 4000
    page.locator(".rows").evaluate("box => box.scrollTo(0, 0)")
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / "console-large-light.png")
    assert Axe().run(page).violations_count == 0
    page.locator("#by-name").check()
    assert order() == ["F000", "F001", "F002"]
    assert page.problems == []


def test_ten_thousand_nodes_are_drawn(large, browser):  # noqa: F811
    page = open_page(browser, large, path="/network.html")
    expect(page.locator("#picture-note")).to_contain_text("Every node is fed", timeout=30_000)
    # Nothing of what was only assumed looks like a measurement: a silent head, and one that plants without telemetry cannot explain.
    expect(page.locator("#unknown")).to_contain_text("No numbers for F131: nothing is heard")
    expect(page.locator("#unknown")).to_contain_text("No numbers for F217: F217 feeds back more than its DER can give")
    state = large.get("/v1/network/state")
    assert state["contradicted_feeders"] == ["F217"]
    told = dict(zip(state["branches"], state["stage"]["active_power_w"]))
    assert told["L-F217-1"] is None and told["L-F131-1"] is None and told["L-F000-1"] == pytest.approx(1e6, rel=0.02)
    # Every line is in the picture.
    wait_for(lambda: page.evaluate("[...document.querySelectorAll('#picture path.branch')].reduce((n, p) => n + (p.getAttribute('d').match(/M/g) ?? []).length, 0)") >= FEEDERS * NODES, 30, what="the lines")
    page.screenshot(path=OUTPUT / "network-large-light.png")
    # One feeder of it, by the choice and by its name.
    page.locator("#feeder").select_option("F217")
    expect(page.locator("#picture-title")).to_have_text("F217, one-line diagram", timeout=20_000)
    expect(page.locator("#picture text", has_text="F217").first).to_be_attached()
    page.screenshot(path=OUTPUT / "network-large-feeder-light.png")
    assert Axe().run(page).violations_count == 0
    assert page.problems == []
