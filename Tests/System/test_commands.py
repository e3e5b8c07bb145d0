"""The commands as a newcomer types them."""
import json
import pathlib
import re
import shutil
import subprocess

import pytest
from conftest import BACKFEED, DATA, ROOT, run, wait_for

OTHER = ROOT.parent / "shared/data/semiurb"


def test_help_names_every_command_and_each_has_its_own():
    text = run("--help").stdout
    commands = re.findall(r"^  (\w+(?: (?:import|check|show))?)  ", text, re.M)
    assert {"run", "demo", "migrate", "network import", "replay", "advisories", "profile", "validate", "verify", "bench"} <= set(commands)
    for command in commands:
        assert f"Usage: backfeed {command}" in run(*command.split(), "--help").stdout
    # A word too many may be another command misspelt: this one would have made a backup.
    assert '"tset" is not understood; usage: backfeed backup' in run("backup", "tset", expect=2).stderr


@pytest.mark.parametrize("arguments, word", [
    (["nonsense"], "no command"), (["network"], "network import"), (["run", "--nonsense"], "--data-dir"),
    (["replay", DATA, "--window", "day"], "--to"), (["replay", DATA, "--to", "tcp://x"], "day"),
    (["profile", "F01", "--bucket", "2m"], "15m"), (["run", "--set", "http.lisen=x"], "did you mean http.listen"),
    (["run", "--set", "telemetry.bind=tcp://0.0.0.0:5560"], "loopback"), (["run", "--set", "http.listen=0.0.0.0:8080"], "loopback"),
    (["run", "--set", "ingest.flush_ms=0", "--set", "voltage.standard=XX"], "voltage.standard"),
])
def test_wrong_usage_ends_with_2_and_says_what_was_expected(arguments, word, folder):
    done = run(*arguments, expect=2, cwd=folder)
    assert word in done.stderr


def test_check_names_every_mistake_and_writes_nothing(folder):
    shutil.copytree(DATA / "network", folder / "net/network")
    lines = (folder / "net/network/lines.csv").read_text().split("\n")
    lines[1] = lines[1].replace("MV2.101_Bus_4", "nowhere")
    (folder / "net/network/lines.csv").write_text("\n".join(lines))
    done = run("network", "check", folder / "net", "--data-dir", folder / "state", expect=1)
    assert 'lines.csv:2: column to_node: there is no node "nowhere"' in done.stderr
    assert not (folder / "state").exists()


def test_import_lists_what_changed(folder):
    first = run("network", "import", DATA, "--data-dir", folder / "state").stdout
    assert "838 switches" in first and "imported as revision 1" in first
    assert "unchanged" in run("network", "import", DATA, "--data-dir", folder / "state").stdout
    shutil.copytree(DATA / "network", folder / "net/network")
    path = folder / "net/network/switches.csv"
    path.write_text(path.read_text().replace("MV2.101_loop_line_5,open,tie", "MV2.101_loop_line_5,closed,tie"))
    second = run("network", "import", folder / "net", "--data-dir", folder / "state").stdout
    assert "imported as revision 2" in second and "MV2.101_loop_line_switch_5.2: normally open → closed" in second
    assert "1 loops" in run("network", "show", "--data-dir", folder / "state").stdout
    assert "applied" in run("migrate", "--status", "--data-dir", folder / "state").stdout
    assert run("migrate", "--data-dir", folder / "state").stdout.strip() == "nothing to do"


def test_the_documented_settings_are_the_settings():
    table = run("settings", "--format", "markdown").stdout
    assert table.strip() in (ROOT / "docs/configuration.md").read_text(), "run: backfeed settings --format markdown, into docs/configuration.md"


def test_every_setting_that_detectors_read_is_in_the_hash_of_their_evidence():
    source = (ROOT / "Sources/backfeed/DetectionSettings.swift").read_text()
    deciding = tuple(re.findall(r'"(\w+\.)"', source))
    read = set(re.findall(r'(?:number|text|flag|given)\(\s*"(\w+\.\w+)"', source))
    assert len(read) > 30 and all(key.startswith(deciding) for key in read), [key for key in read if not key.startswith(deciding)]


def verified(directory, *options):
    result = json.loads(run("verify", directory, "--format", "json", *options).stdout)
    assert result["passed"]
    for window in result["windows"]:
        for comparison in window["comparisons"]:
            assert comparison["precision"] >= 0.95 and comparison["recall"] >= 0.95, comparison
            assert comparison.get("worst_error_s", 0) <= 900
    if result["switching"]:
        assert all(order["passed"] and order["expected"] == order["verdict"] for order in result["switching"]["orders"])
        # Within 0.5 points and 5e-4 pu is asked for; the table has three decimals of a percent, five of a pu.
        assert max(order["loading_error"] for order in result["switching"]["orders"]) < 0.01
        assert max(order["voltage_error"] for order in result["switching"]["orders"]) < 1e-4
        (false,) = [c for c in result["switching"]["comparisons"] if c["what"].startswith("false approvals")]
        assert false["found"] == 0
    return result


def test_everything_agrees_with_truth_on_the_shipped_windows():
    result = verified(DATA)
    assert len(result["switching"]["orders"]) == 19
    day = next(w for w in result["windows"] if w["window"] == "day")
    assert sum(f["detector"] == "RPF_HEAD" for f in day["found"]) == 13
    # A head that is only near reverse is for the journal: it never asks anybody to look.
    assert all(f["severity"] == 4 for f in day["found"] if f["detector"] == "RPF_NEAR")
    assert next(c for c in day["comparisons"] if c["what"].startswith("reverse power advisories"))["worst_error_s"] <= 10


@pytest.mark.skipif(not OTHER.exists(), reason="the development windows are not beside this checkout")
@pytest.mark.parametrize("window", ["hires", "winter"])
def test_everything_agrees_with_truth_on_the_development_windows(window):
    result = verified(OTHER, "--window", window)
    assert window != "winter" or len(result["switching"]["orders"]) == 12


def plan_of_the_docs():
    return json.loads(re.search(r"```json\n(\{.*?\n\})\n```", (ROOT / "docs/switching.md").read_text(), re.S).group(1))


def validate(plan, folder, *options, expect):
    (folder / "plan.json").write_text(plan if isinstance(plan, str) else json.dumps(plan))
    return run("validate", folder / "plan.json", "--snapshot", DATA, "--window", "summer", *options, expect=expect)


def test_the_plan_of_the_docs_is_judged_step_by_step(folder):
    plan = plan_of_the_docs()
    now = json.loads(validate(plan, folder, "--cases", "now", "--format", "json", expect=0).stdout)
    assert now["verdict"] == "APPROVE_WITH_CONDITIONS"
    assert [state["sequence"] for state in now["steps"]] == [0, 1, 2]
    assert [state["de_energised_nodes"] for state in now["steps"]] == [0, 11, 0]
    assert {"R1", "X2", "D8"} <= {item["check"] for item in now["not_run"]} and all(item["reason"] for item in now["not_run"])
    # All load cases: more findings, and a verdict that is no better.
    everything = json.loads(validate(plan, folder, "--format", "json", expect=1).stdout)
    assert everything["verdict"] == "REJECT" and any(f.get("case") == "EXPORT" for f in everything["findings"])
    assert everything["plan_hash"] == now["plan_hash"] and everything["evidence"] == now["evidence"]
    # What an operator reads: the decision first, the reason next, every step in the table.
    text = validate(plan, folder, expect=1).stdout.splitlines()
    assert text[0].startswith("REJECT  T06-evening") and text[3].startswith("BLOCK SOFT step 1")
    assert any(line.startswith("2      close") for line in text) and "Not run" in text[-1]
    # At noon it overloads, and the text says from when to when.
    noon = validate({**plan, "planned_start": "2016-07-23T11:30:00Z"}, folder, "--cases", "now", expect=1).stdout
    assert re.search(r"H3 +From 2016-07-23T11:45:00Z to 2016-07-23T1\d:\d\d:00Z: .* % of its rating", noon)


def test_a_plan_that_cannot_be_read_or_assessed_is_never_approved(folder):
    plan = plan_of_the_docs()
    done = validate({**plan, "kind": "LOAD", "steps": [{"action": "opn", "element": "x"}]}, folder, expect=2)
    assert "kind: expected LOAD_TRANSFER" in done.stderr and "steps[0].action: expected close" in done.stderr
    assert "no JSON" in validate("{", folder, expect=2).stderr
    assert "not in window" in validate(plan, folder, "--at", "2020-01-01T00:00:00Z", expect=2).stderr
    assert "--window is missing" in run("validate", folder / "plan.json", "--snapshot", DATA, expect=2).stderr
    unknown = {**plan, "initial_switch_states": [{"element": plan["steps"][1]["element"], "state": "unknown"}], "steps": plan["steps"][:1],
               "kind": "PLANNED_OUTAGE"}
    assert validate(unknown, folder, "--cases", "now", expect=4).stdout.startswith("CANNOT ASSESS")


IDLE = {"id": "idle", "kind": "CLEARANCE", "author": "kim", "hold_hours": 4, "steps": [
    {"sequence": 1, "action": "text", "element": "tell the crew"}, {"sequence": 2, "action": "place_tag", "element": "MV2.101_Switch_178", "value": "HOLD"},
    {"sequence": 3, "action": "verify", "element": "MV2.101_Switch_178"}, {"sequence": 4, "action": "disable_reclosing", "element": "MV2.101_Switch_178"},
    {"sequence": 5, "action": "enable_reclosing", "element": "MV2.101_Switch_178"}]}


@pytest.mark.parametrize("directory,window,moments", [
    (DATA, "day", ("00:00", "12:00")), (DATA, "summer", ("07:30", "11:30")),
    pytest.param(OTHER, "hires", ("11:00",), marks=pytest.mark.skipif(not OTHER.exists(), reason="the development windows are not beside this checkout")),
    pytest.param(OTHER, "winter", ("12:00",), marks=pytest.mark.skipif(not OTHER.exists(), reason="the development windows are not beside this checkout"))])
def test_a_plan_that_changes_nothing_is_not_rejected_for_the_network(directory, window, moments, folder):
    """Like with like: what the network is without the plan, at once, settled and later, is not the plan's doing."""
    start = json.loads((directory / f"profiles/{window}/window.json").read_text())["start"]
    for moment in moments:
        (folder / "plan.json").write_text(json.dumps({**IDLE, "planned_start": f"{start[:10]}T{moment}:00Z"}))
        done = run("validate", folder / "plan.json", "--snapshot", directory, "--window", window, "--format", "json", expect=None)
        verdict = json.loads(done.stdout)
        against = [f for f in verdict["findings"] if f["severity"].startswith("BLOCK")]
        assert done.returncode in (0, 4) and verdict["verdict"] != "REJECT" and not against, against
        assert verdict["heals"] == []


def test_verify_judges_the_advisory_of_many_places():
    """Three places of a feeder that are high at once are one advisory, which the reference has, too."""
    result = verified(DATA, "--window", "day", "--set", "voltage.warn_high_pu=1.03")
    many = [c for c in result["windows"][0]["comparisons"] if "many places" in c["what"]]
    assert [(c["what"].split(" at ")[0], c["truth"], c["found"], c["passed"]) for c in many] == [("voltage high", 1, 1, True)]
    assert [f["element"] for f in result["windows"][0]["found"] if f["element"].endswith("/voltage")] == ["F01/voltage"]


def test_verify_is_the_same_twice():
    assert run("verify", DATA, "--window", "day", "--format", "json").stdout == run("verify", DATA, "--window", "day", "--format", "json").stdout


def test_the_query_benchmark_asks_a_running_service(folder):
    figures = json.loads(run(
        "bench", "query", "--feeders", "3", "--days", "3", "--rows", "5000", "--requests", "10", "--clients", "20", "--format", "json",
        "--data-dir", folder / "bench").stdout)
    assert figures["csv_rows"] == 5000 and figures["stream_clients"] == 20
    assert all(figures[name] > 0 for name in ("month_p99_ms", "csv_s", "service_mb"))


def test_a_benchmark_that_is_killed_leaves_nothing_running(folder):
    def running():
        return subprocess.run(["pgrep", "--full", f"{folder}/bench"], capture_output=True, text=True).stdout.split()

    bench = subprocess.Popen(
        [BACKFEED, "bench", "ingest", "--devices", "10", "--security", "plain", "--pairs", "50", "--rows", "100000", "--latency-seconds", "0", "--data-dir", folder / "bench"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    # Itself, its PostgreSQL, the service and a publisher.
    wait_for(lambda: len(running()) >= 4, what="the benchmark's processes")
    bench.kill()
    bench.wait()
    wait_for(lambda: not running(), what="the end of all of them")


def test_the_trace_benchmark_traces_what_it_says():
    figures = json.loads(run("bench", "trace", "--format", "json").stdout)
    # How long it takes is for the reader of the figures: tests are never timed.
    assert figures["nodes"] == 10_000 and figures["energised_nodes_mean"] > 9_000 and figures["median_ms"] > 0
