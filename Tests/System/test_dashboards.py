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
from conftest import ROOT, recorded_day, wait_for
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

DASHBOARDS = sorted(pathlib.Path(ROOT, "Dashboards/grafana").glob("*.json"))


@pytest.fixture(scope="module")
def demo():
    with recorded_day("08:00") as service:
        yield service


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


def lost(before, after, at=""):
    """What of `before` is not in `after`."""
    if isinstance(before, dict):
        return [item for key, value in before.items() for item in (lost(value, after[key], f"{at}.{key}") if key in after else [f"{at}.{key}"])]
    if isinstance(before, list):
        return [item for n, value in enumerate(before) for item in lost(value, after[n], f"{at}[{n}]")] if len(before) == len(after) else [at]
    return [] if before == after else [f"{at}: {before} became {after}"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.stem)
def test_grafanas_own_model_reads_all_of_it(path):
    dashboard = json.loads(path.read_text())
    assert lost(dashboard, json.loads(JSONEncoder(sort_keys=True).encode(Dashboard.from_json(dashboard)))) == []


def test_the_folder_says_what_is_in_it():
    text = (ROOT / "Dashboards/grafana/README.md").read_text()
    assert [path.name for path in DASHBOARDS if path.name not in text] == [] and len(DASHBOARDS) >= 6


def test_every_query_has_an_answer(demo, folder):
    service = demo
    wait_for(lambda: (service.metric("backfeed_desk_new_advisories", desk="all") or 0) >= 2, 90, what="rates")
    advisory = next(a for a in service.get("/v1/advisories?state=unacknowledged_active")["items"] if a["severity"] < 4)
    service.send("POST", f"/v1/advisories/{advisory['id']}/acknowledge", {"version": advisory["version"], "actor": "ann"})
    wait_for(lambda: int(service.sql("SELECT count(*) FROM backfeed.forecast_error WHERE ahead_min = 30")) > 10 and int(service.sql("SELECT count(*) FROM backfeed.feeder_profile_1d")) > 0, 120, what="two hours of the day")
    feeders = ", ".join(f"'{f['id']}'" for f in service.get("/v1/feeders")["items"])
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
                    wait_for(lambda: series(target["expr"].replace("$desk", ".*").replace("${feeder:regex}", ".*")), 30, what=f"series of {panel['title']}")
                    continue
                text = re.sub(r"\$__timeFilter\((\w+)\)", r"\1 BETWEEN now() - interval '2 days' AND now()", target["rawSql"])
                text = text.replace("$__timeFrom()", "(now() - interval '2 days')").replace("$__timeTo()", "now()").replace("${feeder:sqlstring}", feeders)
                assert "$" not in text
                # As the role that Grafana logs in with.
                rows = service.sql(f"SET ROLE backfeed_reader; {text}").splitlines()
                assert rows[0] == "SET" and len(rows) > 1, (path.stem, panel["title"])
                if target["format"] == "time_series":
                    assert service.sql(f"SELECT pg_typeof(time) FROM ({text}) AS q LIMIT 1") == "timestamp with time zone"
    finally:
        prometheus.terminate()
        prometheus.wait(10)
