"""The API's own description: complete, served, and true of the running service, whatever is sent to it."""
import json
import os
import re
import shutil
import subprocess
import tempfile

import pytest
from conftest import OUTPUT, ROOT, Publisher, Service, rfc3339, wait_for

METHODS = ("get", "put", "post", "delete")


@pytest.fixture(scope="module")
def demo():
    path = tempfile.mkdtemp(prefix="bf-", dir="/tmp")
    os.chmod(path, 0o755)
    service = Service(path, "demo", "--speed", "120", "--from", "08:00")
    # Something of everything: profiles, forecasts, advisories.
    wait_for(lambda: service.get("/v1/advisories?limit=5")["items"] and service.get("/v1/feeders/F09/forecast")["horizons"], 90, what="the day to flow")
    yield service
    service.stop()
    shutil.rmtree(path, ignore_errors=True)


def documented():
    paths = json.loads((ROOT / "Dashboards/openapi.json").read_text())["paths"]
    return {(method.upper(), re.sub(r"\{\w+\}", "{}", path)) for path, operations in paths.items() for method in operations}


def test_every_route_of_the_docs_is_described_and_the_other_way_round():
    told = set()
    for name in ("http.md", "switching.md", "access.md", "audit.md"):
        for methods, path in re.findall(r"`((?:GET|PUT|POST|DELETE)(?:, (?:GET|PUT|POST|DELETE))*) (/v1/[^` ?]*)", (ROOT / "docs" / name).read_text()):
            told |= {(method, re.sub(r"\{\w+\}", "{}", path)) for method in methods.split(", ")}
    described = documented()
    assert told - described == set()
    assert len(told) >= 20, told


def test_what_is_served_is_the_file_and_its_reads_answer(demo):
    document = demo.get("/v1/openapi.json")
    assert document == json.loads((ROOT / "Dashboards/openapi.json").read_text()) and document["openapi"].startswith("3.1")
    device = demo.get("/v1/devices?limit=1&feeder=F09")["items"][0]["id"]
    advisory = demo.get("/v1/advisories?limit=1")["items"][0]["id"]
    names = {"feeder": "F09", "device": device, "advisory": advisory}
    for path, operations in document["paths"].items():
        if "get" not in operations or path == "/v1/events" or "{plan}" in path:
            continue
        query = "?from=2026-01-01T00:00:00Z&until=2026-01-02T00:00:00Z" if path.endswith("samples") else "?q=f" if path.endswith("search") else ""
        assert demo.get(path.format(**names) + query) is not None, path


def test_whatever_is_sent_is_answered_as_described(demo):
    """Schemathesis: thousands of requests, right and wrong ones. The stream of events does not end, and is tested with the console."""
    output = subprocess.run(
        [ROOT / ".venv/bin/schemathesis", "--config-file", ROOT / "Tests/System/schemathesis.toml", "run", f"{demo.http}/v1/openapi.json",
         "--exclude-path", "/v1/events", "--generation-deterministic", "--max-examples", "8", "--phases", "examples,coverage,fuzzing", "--max-time", "45", "--no-color",
         "--continue-on-failure"],
        capture_output=True, text=True, timeout=300, cwd=tempfile.gettempdir())
    OUTPUT.mkdir(exist_ok=True)
    (OUTPUT / "schemathesis.log").write_text(output.stdout + output.stderr)
    assert output.returncode == 0, output.stdout[-6000:]
    assert re.search(r"([\d,]+) generated", output.stdout) and "Tested: 49" in output.stdout
    assert demo.process.poll() is None and demo.get("/readyz")["status"] == "ready"


def test_numbers_that_no_time_can_hold_end_nothing(demo):
    """Found by schemathesis: a length of time beyond all times ended the service."""
    advisory = demo.get("/v1/advisories?limit=1")["items"][0]["id"]
    for seconds in (-7240041308829947.0, 1e300, -1e300, 0):
        status, problem = demo.send("POST", f"/v1/advisories/{advisory}/out_of_service", {"for_s": seconds, "actor": "ann", "reason": "test"})
        assert status == 400 and "for_s" in problem["detail"]
    # The same by telemetry, live and late.
    device = demo.get("/v1/devices?limit=1&feeder=F09&kind=pv")["items"][0]["id"]
    before = demo.metric("backfeed_rejects_total", reason="interval_out_of_range")
    publisher = Publisher(demo, demo.sql(f"SELECT aggregator FROM backfeed.device WHERE device = '{device}'"))
    now = demo.get(f"/v1/devices/{device}")["time"]
    publisher.samples(*({"device": device, "time": now, "active_power_w": 1, "interval_s": value} for value in (1e30, 1e300, -5, 86_401)))
    wait_for(lambda: demo.metric("backfeed_rejects_total", reason="interval_out_of_range") == before + 4, what="the refusals")
    assert demo.process.poll() is None
