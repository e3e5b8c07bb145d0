"""Base backup, archived WAL and a moment to go back to; and what a restored database, however it came, no longer claims."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

import pytest
import zmq
from conftest import ROOT, Publisher, Service, rfc3339, run, wait_for

NETWORK = pathlib.Path(ROOT) / "Tests/SwitchingTests/Cases/n1"
PLAN = {"id": "T06", "kind": "LOAD_TRANSFER", "author": "kim", "hold_hours": 1, "policy": {"allow_transient_outage": True}, "steps": [
    {"sequence": 1, "action": "open", "element": "R-A"}, {"sequence": 2, "action": "close", "element": "T"}]}


def docs_publisher(service, journal):
    """What docs/publisher.py offers to aggregators, on a service's endpoints."""
    scope = {"__name__": "publisher"}
    exec((ROOT / "docs/publisher.py").read_text(), scope)
    return scope["Publisher"]("UTIL-SCADA", service.telemetry, service.control, str(journal))


def send(service, device, power):
    service.publisher.publish([{"device": device, "time": rfc3339(time.time()), "active_power_w": power}])
    wait_for(lambda: service.publisher.serve(50) or service.publisher.durable == service.publisher.last, every=0, what="durable")
    wait_for(lambda: service.sql(f"SELECT count(*) FROM backfeed.sample WHERE active_power_w = {power}") == "1", what="the sample")


def doubts(service, check):
    verdict = service.send("POST", "/v1/switching/validate", PLAN)[1]
    return [finding for finding in verdict["findings"] if finding["check"] == check and finding["severity"] == "UNKNOWN"]


def claims(service):
    """What somebody relies on, beside the declared register: approvals and a session."""
    service.sql("INSERT INTO backfeed_store.switching_plan (id, version, state, author, digest, document, reserved_from, reserved_until) "
                "VALUES ('P', 1, 'approved', 'kim', 'x', '{}', now(), now()), ('Q', 1, 'executing', 'kim', 'x', '{}', now(), now())")
    # Without an account, so that the tests may ask without one.
    service.sql("ALTER TABLE backfeed_store.console_session DROP CONSTRAINT console_session_account_fkey; INSERT INTO backfeed_store.console_session (digest, account) VALUES ('d', 'ben')")


def what_counts(service):
    return service.sql("SELECT (SELECT count(*) FROM backfeed_store.safety_register), (SELECT string_agg(state || ' ' || left(reason, 25), ',' ORDER BY id) FROM backfeed_store.switching_plan), "
                       "(SELECT count(*) FROM backfeed_store.console_session), (SELECT last > 1000000 FROM backfeed_store.event_counter), (SELECT count(*) FROM backfeed_store.restore)")


VOID = "0|recheck the database was restored,hold the database was restored|0|t|"


@pytest.fixture(scope="module")
def archive():
    """A service whose WAL is archived, a base backup of it, a sample, a moment, and another sample."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="bf-", dir="/tmp"))
    os.chmod(path, 0o755)
    (path / "one").mkdir(mode=0o755)
    run("network", "import", NETWORK, "--data-dir", path / "one/state")
    service = Service(path / "one", settings=[f"backup.directory={path}/backup"])
    service.directory, service.path = path / "backup", path
    service.options = ["--set", f"backup.directory={path}/backup"]
    service.publisher = docs_publisher(service, path / "journal")
    send(service, "FH-A1", 1)
    service.said = run("backup", "--data-dir", path / "one/state", *service.options).stdout
    run("access", "add-publisher", "AGG-Z", "--key-file", path / "z.key", "--data-dir", path / "one/state")
    send(service, "FH-A1", 2)
    # Frozen: it would see at once that these approvals rest on nothing.
    service.send("POST", "/v1/safety/declare", {"actor": "ann", "reason": "log book"})
    service.process.send_signal(signal.SIGSTOP)
    claims(service)
    service.moment = service.sql("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')")
    service.process.send_signal(signal.SIGCONT)
    send(service, "FH-A1", 3)
    run("access", "revoke", "AGG-Z", "--data-dir", path / "one/state")
    last = service.sql("SELECT pg_walfile_name(pg_switch_wal())")
    wait_for(lambda: service.sql(f"SELECT last_archived_wal >= '{last}' FROM pg_stat_archiver") == "t", what="the last segment in the archive")
    yield service
    service.stop()
    shutil.rmtree(path, ignore_errors=True)


def test_a_moment_comes_back_and_nothing_after_it(archive, folder):
    assert "verified" in archive.said
    done = run("restore", archive.directory, "--until", archive.moment, "--old-data-dir", archive.path / "one/state", "--data-dir", folder / "state")
    assert f"restored to {archive.moment}" in done.stdout and "revoked since: AGG-Z" in done.stdout
    # An empty data directory only.
    assert "is not empty" in run("restore", archive.directory, "--data-dir", folder / "state", expect=2).stderr
    service = Service(folder)
    try:
        assert service.sql("SELECT string_agg(active_power_w::text, ',' ORDER BY active_power_w) FROM backfeed.sample") == "1,2"
        # Its publisher has kept for a while what was stored once: it is asked for again, and nothing is there twice.
        publisher = docs_publisher(service, archive.path / "journal")
        wait_for(lambda: publisher.serve(50) or service.sql("SELECT string_agg(active_power_w::text, ',' ORDER BY active_power_w) FROM backfeed.sample") == "1,2,3", every=0, what="what came after the moment")
        assert "AGG-Z" in run("access", "list", "--data-dir", folder / "state").stdout
        # Nobody may rely on what may have been different since; said once, and not again at the start.
        assert what_counts(service) == VOID + "1"
        assert service.sql("SELECT until FROM backfeed_store.restore") == archive.moment
        said = json.loads(service.sql("SELECT event FROM backfeed_store.advisory_event WHERE type = 'restored'"))
        assert said["type"] == "org.backfeed.restored" and said["sequence"] > 1_000_000
        log = run("verify-log", "--data-dir", folder / "state").stdout
        assert log.startswith("intact") and "restored: record" in log and archive.moment in log
        # Every position is in doubt until somebody says so.
        open_switches = doubts(service, "T1")[0]["elements"]
        assert set(open_switches) >= {"R-A", "T"}
        listed = run("switches", "confirm", "--data-dir", folder / "state", expect=1).stdout
        assert all(name in listed for name in open_switches)
        service.send("PUT", "/v1/network/switches/T", {"position": "open", "actor": "ann", "reason": "seen"})
        assert "T" not in doubts(service, "T1")[0]["elements"]
        run("switches", "confirm", "--all", "--reason", "compared with the control system", "--data-dir", folder / "state")
        assert not doubts(service, "T1") and doubts(service, "S1") + doubts(service, "X2")
        assert service.sql("SELECT count(*) FROM backfeed.audit WHERE action = 'switch.positioned'") == str(len(open_switches))
    finally:
        service.stop()


def test_the_newest_backup_is_tried_and_the_end_of_the_archive_comes_back(archive, folder):
    tried = run("backup", "test", *archive.options).stdout
    assert "can be restored: audit log intact" in tried and ", 3 samples" in tried
    assert not (archive.directory / "test").exists()
    doctor = run("doctor", "--data-dir", archive.path / "one/state", *archive.options, expect=None).stdout
    assert "ok  a restore was tried 0 days ago" in doctor and "BAD backup" not in doctor
    assert wait_for(lambda: archive.metric("backfeed_backup_wal_age_seconds") >= 0 and "backfeed_backup_wal_age_seconds" in archive.get("/metrics"), what="ages")
    run("restore", archive.directory, "--data-dir", folder / "state")
    assert (folder / "state/seen.json").exists()
    # The same bytes again are fine, others are not.
    first = sorted((archive.directory / "wal").glob("*.gz"))[-1]
    cluster = archive.path / "one/state/postgres"
    for content, expect in ((None, 0), (b"another cluster's", 3)):
        segment = folder / first.name.removesuffix(".gz")
        segment.write_bytes(content or subprocess.run(["gzip", "-dc", first], capture_output=True, check=True).stdout)
        assert run("wal-archive", cluster, segment, expect=expect)
    # A hole in the archive is not passed over in silence.
    hole = sorted((archive.directory / "wal").glob("0*.gz"))[-2]
    away = hole.rename(hole.with_suffix(".away"))
    assert "the archive has a gap at" in run("restore", archive.directory, "--data-dir", folder / "other", expect=3).stderr
    away.rename(hole)


def test_a_copy_of_the_files_is_noticed(folder):
    run("network", "import", NETWORK, "--data-dir", folder / "state")
    service = Service(folder)
    service.publisher = Publisher(service, "UTIL-SCADA")
    service.send("POST", "/v1/safety/declare", {"actor": "ann", "reason": "log book"})
    service.process.send_signal(signal.SIGSTOP)
    claims(service)
    service.process.kill()
    service.process.wait()
    # It is ended, and its PostgreSQL too, before the files are copied.
    run("migrate", "--data-dir", folder / "state")
    cluster = folder / "state/postgres"
    subprocess.run(["cp", "-a", cluster, folder / "copy"], check=True)
    # Without anything done it is the same database.
    service.start()
    assert what_counts(service).endswith("|f|0")
    service.stop()
    # Put back to before that start.
    shutil.rmtree(cluster)
    (folder / "copy").rename(cluster)
    service.start()
    try:
        assert what_counts(service) == VOID + "1"
        assert "its audit log ends at record" in service.sql("SELECT reason FROM backfeed_store.restore")
        assert doubts(service, "T1")
        # A measured position counts from now on, also where it is no news.
        names = [name for name in doubts(service, "T1")[0]["elements"]]
        publisher = Publisher(service, "UTIL-SCADA")
        publisher.samples(*[{"device": name, "time": rfc3339(time.time()), "switch_position": "closed"} for name in names])
        wait_for(lambda: len((doubts(service, "T1") or [{"elements": []}])[0]["elements"]) < len(names), what="a position that telemetry confirms")
    finally:
        service.stop()
    # What the service cannot notice, somebody says.
    run("restore", "declare", "--reason", "snapshot of the machine", "--data-dir", folder / "state")
    assert "snapshot of the machine" in run("verify-log", "--data-dir", folder / "state").stdout
