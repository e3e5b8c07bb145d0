"""Each part of the service answers for itself, the heartbeat for the store, and nobody is told a password."""
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

import pytest
import zmq
from conftest import BACKFEED, ROOT, Publisher, Service, rfc3339, run, wait_for

NETWORK = ROOT / "Tests/SwitchingTests/Cases/n1"


def readiness(service):
    try:
        with urllib.request.urlopen(service.http + "/readyz", timeout=30) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


@pytest.fixture(scope="module")
def service():
    path = pathlib.Path(tempfile.mkdtemp(prefix="bf-", dir="/tmp"))
    os.chmod(path, 0o755)
    run("network", "import", NETWORK, "--data-dir", path / "state")
    service = Service(path)
    yield service
    service.stop()
    shutil.rmtree(path, ignore_errors=True)


def test_a_part_that_works_says_nothing_of_another(service):
    publisher = Publisher(service, "UTIL-SCADA")

    def publish():
        publisher.samples({"device": "FH-A1", "time": rfc3339(time.time()), "active_power_w": 1e6})

    publish()
    wait_for(lambda: service.metric("backfeed_samples_stored_total") >= 1, what="the first sample")
    assert readiness(service) == (200, {"status": "ready", "problems": [], "warnings": []})
    # The analyser stores nothing any more; ingest goes on, batch by batch.
    service.sql("ALTER TABLE backfeed_store.analyser_position ADD CONSTRAINT closed CHECK (false) NOT VALID")
    status, said = wait_for(lambda: publish() or (found := readiness(service))[0] == 503 and found, what="the analyser's problem")
    assert [line.split(":")[0] for line in said["problems"]] == ["analyser"]
    for _ in range(3):
        stored = service.metric("backfeed_samples_stored_total")
        publish()
        wait_for(lambda: service.metric("backfeed_samples_stored_total") > stored, what="another batch")
        assert readiness(service)[0] == 503
    assert service.metric("backfeed_part_healthy", part="analyser") == 0 and service.metric("backfeed_part_healthy", part="ingest") == 1
    assert service.metric("backfeed_store_healthy") == 0
    # Verdicts doubt, by its name.
    element = service.get("/v1/network")["switches"][0]["id"]
    plan = {"id": "p", "kind": "LOAD_TRANSFER", "author": "kim", "hold_hours": 1, "steps": [{"sequence": 1, "action": "open", "element": element}]}
    verdict = service.send("POST", "/v1/switching/validate", plan)[1]
    assert any('part "analyser" cannot do its work' in json.dumps(finding).replace('\\"', '"') for finding in verdict["findings"]), verdict
    # What may wait is a warning only.
    service.sql("ALTER TABLE backfeed_store.webhook RENAME TO webhook_away")
    status, said = wait_for(lambda: (found := readiness(service))[1]["warnings"] and found, what="the webhooks' problem")
    assert status == 503 and said["warnings"][0].startswith("webhooks: ") and len(said["problems"]) == 1
    told = wait_for(lambda: "webhooks: " in (text := run("doctor", "--data-dir", service.folder / "state", expect=1).stdout) and text, what="doctor's word")
    assert "part analyser: " in told
    service.sql("ALTER TABLE backfeed_store.analyser_position DROP CONSTRAINT closed")
    service.sql("ALTER TABLE backfeed_store.webhook_away RENAME TO webhook")
    wait_for(lambda: readiness(service) == (200, {"status": "ready", "problems": [], "warnings": []}), what="health")
    publisher.close()


def test_a_database_that_stands_still_is_said_in_the_heartbeat(service):
    socket = zmq.Context.instance().socket(zmq.SUB)
    socket.connect(service.advisories)
    socket.subscribe(b"heartbeat/1")

    def beat():
        assert socket.poll(20_000), "the heartbeat is silent"
        return json.loads(socket.recv_multipart()[1])["store"]

    wait_for(lambda: beat()["answers"], what="a store that answers")
    server = int((service.folder / "state/postgres/data/postmaster.pid").read_text().split()[0])
    children = [int(pid) for pid in pathlib.Path(f"/proc/{server}/task/{server}/children").read_text().split()]
    for process in [server, *children]:
        os.kill(process, signal.SIGSTOP)
    try:
        # It goes on while nothing answers.
        ages = []
        wait_for(lambda: (now := beat()) and not now["answers"] and (ages.append(now["age_s"]) or len(ages) >= 3), every=0, what="three heartbeats")
        assert ages == sorted(ages) and ages[0] > 3
    finally:
        for process in [*children, server]:
            os.kill(process, signal.SIGCONT)
    wait_for(lambda: beat()["answers"], what="a store that answers again")
    socket.close(0)


def test_the_address_of_a_login_is_the_proxy_s_word_only_for_a_proxy(folder):
    run("access", "add-user", "ann", "--role", "operator", "--data-dir", folder / "state")
    service = Service(folder, settings=["access.failures_per_address=2"])

    def log_in(address):
        connection = http.client.HTTPConnection(service.http.removeprefix("http://"))
        connection.request("POST", "/v1/session", json.dumps({"user": "ann", "password": "wrong but long"}), {"X-Real-IP": address, "Content-Type": "application/json"})
        return connection.getresponse().status

    assert [log_in(f"192.0.2.{number}") for number in range(3)] == [401, 401, 429]
    service.stop()
    service.command += ["--set", "http.proxies=127.0.0.1"]
    service.start()
    assert [log_in(f"192.0.2.{number}") for number in range(3)] == [401, 401, 401]
    assert [log_in("192.0.2.9") for _ in range(3)] == [401, 401, 429]
    service.stop()


def test_nobody_is_told_a_password(tmp_path):
    url = "postgresql://bf:geheim@127.0.0.1:1/backfeed"
    for words in (["settings"], ["settings", "--format", "markdown"], ["doctor", "--data-dir", tmp_path], ["migrate"], ["verify-log"], ["network", "show"]):
        done = run(*words, "--set", f"database.url={url}", expect=None)
        assert "geheim" not in done.stdout + done.stderr and (words[0] != "settings" or "bf:***@127.0.0.1" in done.stdout), done
    # Nor does the list of processes.
    process = subprocess.Popen([str(BACKFEED), "publisher", "check", "--plain", "--telemetry", "tcp://127.0.0.1:*", "--control", "tcp://127.0.0.1:*", "--set", f"database.url={url}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    words = pathlib.Path(f"/proc/{process.pid}/cmdline")
    try:
        wait_for(lambda: b"bf:******@127.0.0.1" in words.read_bytes(), every=0.01, what="a command line without it")
    finally:
        process.kill()
        process.wait()
