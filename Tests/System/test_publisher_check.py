"""The kit that an aggregator runs before it is let in: a good publisher passes, each fault fails its own rule."""
import csv
import json
import subprocess
import time

from conftest import BACKFEED, DATA
from test_lossless import Journalled


def check(folder, publish, *options, seconds=6):
    """Runs the kit, lets `publish` play against it; exit code and findings by rule."""
    process = subprocess.Popen(
        [str(BACKFEED), "publisher", "check", "--plain", "--network", str(DATA), "--telemetry", "tcp://127.0.0.1:*", "--control",
         "tcp://127.0.0.1:*", "--for", str(seconds), "--format", "json", *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()
    ends = dict(part.split("=", 1) for part in line.split() if "=" in part)
    publisher = Journalled("AGG-A", ends["telemetry"], ends["control"], folder / "check.journal")
    time.sleep(0.5)
    publish(publisher)
    while process.poll() is None:
        publisher.serve(50)
    return process.returncode, {row["rule"]: row for row in json.loads(process.stdout.read())}


def devices(kind, count):
    with open(DATA / "network/ders.csv") as file:
        return [row["der_id"] for row in csv.DictReader(file) if row["kind"] == kind][:count]


def sending(power, device, count=40, **more):
    def publish(publisher):
        for n in range(count):
            publisher.publish([{"device": device, "time": int((time.time() - 60 + n) * 1e6), "active_power_w": power, **more}])
            publisher.serve()
    return publish


def test_a_good_publisher_passes_every_rule(folder):
    code, rules = check(folder, sending(2000, devices("pv", 1)[0]))
    assert {name: row["result"] for name, row in rules.items()} == dict.fromkeys(
        ("encoding", "identity", "sequence", "clock", "rate", "replay", "ranges", "sign"), "pass"), rules
    assert code == 0


def test_an_inverted_sign_fails(folder):
    code, rules = check(folder, sending(-2000, devices("pv", 1)[0]))
    assert code == 1 and rules["sign"]["result"] == "fail" and "into the grid" in rules["sign"]["advice"]


def test_strangers_rubbish_and_the_future_fail_their_rules(folder):
    def publish(publisher):
        sending(2000, "nobody", 10)(publisher)
        publisher.publish([{"device": devices("pv", 1)[0], "time": int((time.time() + 60) * 1e6), "active_power_w": 9e9}])
        publisher.live.send_multipart([publisher.topic, b"short", b"{}"])
    code, rules = check(folder, publish)
    failed = {name for name, row in rules.items() if row["result"] == "fail"}
    assert code == 1 and {"encoding", "identity", "clock", "ranges"} <= failed, rules


def test_what_cannot_be_seen_is_not_passed(folder):
    code, rules = check(folder, sending(0, devices("pv", 1)[0]))
    assert code == 4 and rules["sign"]["result"] == "not checked"
