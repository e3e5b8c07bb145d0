"""Grafana's dashboards without a Grafana: their shape, every SQL on a database with rows, every PromQL on a real Prometheus."""
import itertools
import json
import pathlib
import re
import socket
import subprocess
import urllib.parse
import urllib.request

import pytest
from conftest import ROOT, wait_for
from test_lifecycle import act, reverse

DASHBOARDS = sorted(pathlib.Path(ROOT, "Dashboards/grafana").glob("*.json"))


def targets(dashboard):
    return [(panel, target) for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_panels_have_a_place_and_a_source_by_variable(path):
    dashboard = json.loads(path.read_text())
    assert dashboard["uid"] == f"backfeed-{path.stem}"
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    variables = {variable["name"] for variable in dashboard["templating"]["list"]}
    for panel, target in targets(dashboard):
        assert re.fullmatch(r"\$\{(\w+)\}", target["datasource"]["uid"]).group(1) in variables
        assert target["datasource"] == panel["datasource"]
    for one, other in itertools.combinations([panel["gridPos"] for panel in dashboard["panels"]], 2):
        apart = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"] or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart, (one, other)
        assert one["x"] + one["w"] <= 24


def test_every_query_has_an_answer(service, folder):
    advisory = reverse(service)
    act(service, advisory, "acknowledge", actor="ann")
    reverse(service, "F05", -9_000_000)
    wait_for(lambda: (service.metric("backfeed_desk_new_advisories", desk="all") or 0) >= 2, what="rates")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (folder / "prometheus.yml").write_text(
        f"global: {{scrape_interval: 1s}}\nscrape_configs: [{{job_name: backfeed, static_configs: [{{targets: ['{service.http.removeprefix('http://')}']}}]}}]\n")
    prometheus = subprocess.Popen(
        ["prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{port}"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def series(expression):
        query = urllib.parse.urlencode({"query": expression})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/query?{query}", timeout=5) as answer:
                return json.load(answer)["data"]["result"]
        except OSError:
            return []

    try:
        wait_for(lambda: series("up == 1"), what="Prometheus")
        for path in DASHBOARDS:
            for panel, target in targets(json.loads(path.read_text())):
                if "expr" in target:
                    wait_for(lambda: series(target["expr"].replace("$desk", ".*")), 30, what=f"series of {panel['title']}")
                    continue
                text = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '1 day' AND now()", target["rawSql"])
                assert "$" not in text
                assert service.sql(text), (path.stem, panel["title"])
                if target["format"] == "time_series":
                    assert service.sql(f"SELECT pg_typeof(time) FROM ({text}) AS q LIMIT 1") == "timestamp with time zone"
    finally:
        prometheus.terminate()
        prometheus.wait(10)
