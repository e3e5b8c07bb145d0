"""Two PostgreSQL servers of one's own: the first is killed, the second promoted; the service follows by its conninfo."""
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest
from conftest import BACKFEED, DATA, Service, free_port, run, wait_for
from test_lossless import Journalled, sample, serve_until

BINARIES = max(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
# PostgreSQL refuses to run as root.
PREFIX = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []


def postgres(program, *arguments):
    done = subprocess.run([*PREFIX, str(BINARIES / program), *map(str, arguments)], capture_output=True, text=True, timeout=120, cwd="/tmp")
    assert done.returncode == 0, f"{program}: {done.stdout}{done.stderr}"
    return done.stdout


class Server:
    def __init__(self, folder, port):
        self.folder, self.port = folder, port

    def start(self):
        settings = f"-c port={self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self.folder}"
        postgres("pg_ctl", "-D", self.folder, "-w", "-l", self.folder / "log", "-o", settings, "start")

    def kill(self):
        os.kill(int((self.folder / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def sql(self, statement):
        return postgres("psql", "-h", self.folder, "-p", self.port, "-U", "backfeed", "-d", "postgres", "-AtX", "-c", statement).strip()


@pytest.fixture
def pair(folder):
    # A folder that PostgreSQL's user may write to.
    if os.getuid() == 0:
        shutil.chown(folder, "postgres")
    first, second = (Server(folder / name, free_port()) for name in ("first", "second"))
    postgres("initdb", "-D", first.folder, "-U", "backfeed", "-A", "trust", "--no-sync")
    first.start()
    postgres("pg_basebackup", "-h", first.folder, "-p", first.port, "-U", "backfeed", "-D", second.folder, "-R", "-X", "stream")
    second.start()
    # What is called durable must be on the second server too: that is what synchronous replication is for.
    first.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
    first.sql("SELECT pg_reload_conf()")
    wait_for(lambda: first.sql("SELECT sync_state FROM pg_stat_replication") == "sync", what="a synchronous standby")
    yield first, second
    for server in (first, second):
        subprocess.run([*PREFIX, str(BINARIES / "pg_ctl"), "-D", str(server.folder), "-m", "immediate", "stop"], capture_output=True, cwd="/tmp")


def test_a_promoted_standby_takes_over_and_nothing_is_lost_or_doubled(pair, folder):
    first, second = pair
    url = f"database.url=postgresql://backfeed@127.0.0.1:{first.port},127.0.0.1:{second.port}/postgres"
    run("migrate", "--set", url)
    run("network", "import", DATA, "--set", url)
    service = Service(folder, settings=(url, "ingest.database_deadline_ms=2000"))
    try:
        publisher = Journalled("AGG-A", service.telemetry, service.control, folder / "a.journal")
        start = time.time() - 3600
        for n in range(300):
            publisher.publish([sample(n, start)])
        serve_until(publisher, lambda: publisher.durable == 300)
        first.kill()
        for n in range(300, 600):
            publisher.publish([sample(n, start)])
            publisher.serve()
        wait_for(lambda: service.metric("backfeed_store_failures_total") > 0, what="the outage seen")
        # The standby alone takes no writes: nothing may be called durable yet.
        assert publisher.durable <= 600 and second.sql("SELECT pg_is_in_recovery()") == "t"
        known = publisher.durable
        postgres("pg_ctl", "-D", second.folder, "-w", "promote")
        serve_until(publisher, lambda: publisher.durable == 600)
        assert known < 600
        assert second.sql("SELECT count(*), count(DISTINCT (time, device_id)) FROM backfeed_store.sample") == "600|600"
        assert second.sql("SELECT count(*) FROM backfeed.data_gap") == "0"
        assert service.process.poll() is None and "the database is back" in (folder / "service.log").read_text()
    finally:
        service.stop()
