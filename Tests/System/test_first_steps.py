"""The commands of the documentation, followed literally."""
import os
import re
import subprocess
import sys

import pytest
from conftest import BACKFEED, ROOT, recorded_day, run, wait_for


def blocks(page):
    text = (ROOT / "docs" / page).read_text()
    return re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S)


def test_a_newcomer_gets_from_a_network_to_a_verdict(folder):
    first, *rest = blocks("first-steps.md")
    # The demo is what every test of the console runs.
    assert first == "make run\n"
    for name in ("docs", ".build"):
        (folder / name).symlink_to(ROOT / name)
    # As written, in one shell, but on other ports: somebody may be running the service here.
    script = "\n".join(["set -eu -o pipefail", *rest])
    script = re.sub(r"(127\.0\.0\.1:)8080", r"\g<1>28080", script)
    ports = " ".join(f"--set {name}={value}" for name, value in {
        "http.listen": "127.0.0.1:28080", "telemetry.bind": "tcp://127.0.0.1:25560", "control.bind": "tcp://127.0.0.1:25561",
        "advisories.bind": "tcp://127.0.0.1:25562", "validator.bind": "tcp://127.0.0.1:25563"}.items())
    script = script.replace("backfeed run --data-dir mine/state >", f"backfeed run --data-dir mine/state {ports} >")
    script = script.replace("docs/publisher.py AGG-A", "docs/publisher.py AGG-A --telemetry tcp://127.0.0.1:25560 --control tcp://127.0.0.1:25561")
    script = script.replace("backfeed validate", "backfeed validate --url http://127.0.0.1:28080")
    python = f"python3() {{ {sys.executable} \"$@\"; }}\n"
    done = subprocess.run(["bash", "-c", python + script], cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    text = done.stdout
    assert "1 advisories" in text or "2 advisories" in text, text
    assert "reverse_power" in text and "FH-F1" in text
    # The profile as a table, as dots and as CSV.
    minutes = re.findall(r"^20\d\d-\S+Z +(-?[\d.]+) ", text, re.M)
    assert len(minutes) > 8 and float(minutes[0]) > 0 > float(minutes[-1]), minutes
    assert "below the dotted line: reverse power" in text and "time,net_w,net_min_w" in text
    verdict = re.search(r"APPROVE\w*|REJECT\w*|CANNOT_ASSESS", text)
    assert verdict and verdict.group().startswith("APPROVE"), text + done.stderr


@pytest.fixture(scope="module")
def demo():
    with recorded_day("09:00", speed="600") as service:
        # Forecasts come every five minutes of the data, figures of the past when there are quarter hours.
        wait_for(lambda: service.get("/v1/feeders/F09/profile?bucket=15m")["items"][3:], what="an hour of the day")
        yield service


@pytest.mark.parametrize("page", ["forecast.md", "statistics.md", "audit.md", "operators.md", "aggregators.md", "engineers.md", "administrators.md", "developers.md"])
def test_the_commands_of_a_page_run_on_the_recorded_day(demo, page):
    for line in "".join(blocks(page)).splitlines():
        command = line.split(" #")[0].strip()
        # A digest is of one's own log: the page shows where to put it.
        if "…" in command:
            end = re.search(r"end (\d+:[0-9a-f]+)", run("verify-log", "--data-dir", demo.folder / "state").stdout).group(1)
            command = re.sub(r"\d+:\S+…", end, command)
        command = command.replace("http://127.0.0.1:8080", demo.http)
        if "ADVISORY" in command:
            command = command.replace("ADVISORY", demo.get("/v1/advisories?state=active")["items"][0]["id"])
        if command.startswith("backfeed "):
            command += f" --data-dir {demo.folder}/state"
        done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60, cwd=ROOT, env={**os.environ, "PATH": f"{BACKFEED.parent}:{os.environ['PATH']}"})
        assert done.returncode == 0 and done.stdout.strip(), (command, done.stdout, done.stderr)
        assert '"status":4' not in done.stdout, (command, done.stdout)


def test_pictures_are_those_that_the_tests_make():
    made = dict(line.split() for line in (ROOT / "docs/images/made-by-tests.txt").read_text().splitlines())
    assert set(made) == {path.name for path in (ROOT / "docs/images").glob("*.png")}
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    shown = {name for page in pages for name in re.findall(r"\]\((?:docs/)?images/([\w.-]+)\)", page.read_text())}
    assert shown == set(made)
    sources = "".join(path.read_text() for path in (ROOT / "Tests/System").glob("test_console*.py"))
    for name in made.values():
        assert re.sub(r"-(light|dark)\.png", "", name) in sources, f"no test makes {name}"


def test_every_page_that_is_linked_is_there():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "docker/README.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text()):
            assert target.startswith("http") or (page.parent / target).exists(), f"{page.name}: {target}"
