"""One service for one data directory, one database, one port; and a private PostgreSQL ends with its owner only."""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest
from conftest import BACKFEED, ROOT, Service, run


@pytest.fixture(scope="module")
def owner():
    path = tempfile.mkdtemp(prefix="bf-", dir="/tmp")
    os.chmod(path, 0o755)
    run("network", "import", ROOT / "Tests/SwitchingTests/Cases/n1", "--data-dir", f"{path}/state")
    service = Service(path)
    yield service
    service.stop()
    shutil.rmtree(path, ignore_errors=True)


def second(folder, command="run", *settings):
    ports = ("telemetry.bind=tcp://127.0.0.1:*", "control.bind=tcp://127.0.0.1:*", "advisories.bind=tcp://127.0.0.1:*", "validator.bind=", "http.listen=127.0.0.1:0", *settings)
    words = [str(BACKFEED), command, "--data-dir", str(folder)]
    for setting in ports:
        words += ["--set", setting]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert "ready" not in done.stdout.split() and done.returncode == 3, (done.returncode, done.stdout, done.stderr)
    return done.stderr


@pytest.mark.parametrize("command", ["run", "demo"])
def test_one_service_for_one_data_directory(owner, command):
    said = second(owner.folder / "state", command)
    assert f"process {owner.process.pid} on " in said and "since 20" in said and "belongs to a running service" in said
    # Neither its files nor its database were touched.
    assert owner.get("/readyz")["status"] == "ready" and owner.sql("SELECT 1") == "1"


def test_one_service_for_one_database(owner, tmp_path):
    url = f"database.url=host={owner.folder}/state/postgres user=backfeed_service dbname=postgres"
    said = second(tmp_path, "run", url)
    assert f"the database belongs to a running service (process {owner.process.pid} on " in said and str(owner.folder) in said
    assert owner.get("/readyz")["status"] == "ready"


def test_one_service_for_one_port(owner, folder):
    said = second(folder / "other", "run", f"http.listen={owner.http.removeprefix('http://')}")
    assert "http.listen" in said and "Address already in use" in said
    said = second(folder / "other", "run", f"telemetry.bind={owner.telemetry}")
    assert "in use" in said
    # What it had started of its own has ended with it, and nothing else.
    assert not (folder / "other/postgres/data/postmaster.pid").exists()
    assert owner.get("/readyz")["status"] == "ready"


def test_commands_do_not_end_the_service_s_database(owner):
    process = (owner.folder / "state/postgres/data/postmaster.pid").read_text().split()[0]
    run("doctor", "--data-dir", owner.folder / "state", expect=None)
    run("migrate", "--data-dir", owner.folder / "state")
    assert owner.sql("SELECT 1") == "1"
    owner.stop()
    assert not pathlib.Path(f"/proc/{process}").exists()
    owner.start()
