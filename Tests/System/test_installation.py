"""docs/installation.md, command by command, on a machine that boots systemd: this one's files with a layer over them, in a
container of systemd's own. Nothing of it reaches this machine."""
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest
from conftest import ROOT, wait_for

PAGE = (ROOT / "docs/installation.md").read_text()
# What would wait for a network or a keyboard that the machine does not have, and servers that the page does not speak of.
MASKED = ("systemd-networkd-wait-online", "systemd-firstboot", "postgresql", "prometheus", "prometheus-node-exporter")


def commands():
    """The page's, in their order, with the heading that each stands under."""
    heading, inside = "", False
    for line in PAGE.splitlines():
        if line.startswith("#") and not inside:
            heading = line.lstrip("# ")
        elif line.startswith("```"):
            inside = line == "```sh"
        elif inside and line.strip():
            yield heading, line


class Machine:
    """systemd as process 1 over a copy-on-write view of this machine's files; a network of its own, without a way out."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.layers = [self.folder / name for name in ("upper", "work", "root")]
        # In memory: not every file system can be the upper layer.
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4g,mode=0755", "tmpfs", self.folder], check=True)
        for layer in self.layers:
            layer.mkdir()
        self.root = self.layers[2]
        upper, work, root = self.layers
        subprocess.run(["mount", "-t", "overlay", "-o", f"lowerdir=/,upperdir={upper},workdir={work}", "overlay", root], check=True)
        units = root / "etc/systemd/system"
        for unit in MASKED:
            (units / f"{unit}.service").unlink(missing_ok=True)
            (units / f"{unit}.service").symlink_to("/dev/null")
        (root / "etc/machine-id").unlink(missing_ok=True)
        # As on a machine that never had it.
        for path in ("var/lib/backfeed", "etc/backfeed", "usr/lib/backfeed", "usr/share/backfeed"):
            shutil.rmtree(root / path, ignore_errors=True)
        self.log = open(self.folder / "boot.log", "w")
        self.container = subprocess.Popen(
            ["systemd-nspawn", f"--directory={root}", "--boot", "--private-network", "--register=no", "--keep-unit", "--link-journal=no", "--resolv-conf=off",
             "--console=pipe", f"--bind={ROOT}", f"--machine=backfeed-{os.getpid()}"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        self.first = wait_for(self.leader, 30, what="process 1")
        wait_for(lambda: self.run("systemctl is-system-running", check=False).stdout.strip() in ("running", "degraded"), 120, every=0.5, what="the boot")

    def leader(self):
        assert self.container.poll() is None, (self.folder / "boot.log").read_text()
        children = Path(f"/proc/{self.container.pid}/task/{self.container.pid}/children").read_text().split()
        named = [child for child in children if Path(f"/proc/{child}/comm").read_text().strip() == "systemd"]
        return named[0] if named else None

    def run(self, command, check=True, timeout=300):
        done = subprocess.run(
            ["nsenter", "--target", self.first, "--mount", "--uts", "--ipc", "--net", "--pid", "env", "-i", f"PATH={os.environ['PATH']}", "HOME=/root", "DEBIAN_FRONTEND=noninteractive",
             "bash", "-ec", f"cd {ROOT}\n{command}"], capture_output=True, text=True, timeout=timeout, cwd="/")
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}\n{self.journal()[-3000:]}"
        return done

    def journal(self):
        return self.run("journalctl --unit backfeed --no-pager --output cat", check=False).stdout

    def shown(self, name, unit="backfeed"):
        return self.run(f"systemctl show --property {name} --value {unit}").stdout.strip()

    def stop(self):
        self.container.send_signal(signal.SIGTERM)
        try:
            self.container.wait(60)
        except subprocess.TimeoutExpired:
            self.container.kill()
            self.container.wait()
        self.log.close()
        for place in (self.root, self.folder):
            subprocess.run(["umount", "--lazy", place], check=False)


@pytest.fixture(scope="module")
def machine():
    if os.getuid() != 0 or not shutil.which("systemd-nspawn"):
        pytest.skip("a machine that boots systemd takes root and systemd-nspawn")
    folder = tempfile.mkdtemp(prefix="bf-machine-", dir="/var/tmp")
    made = None
    try:
        try:
            made = Machine(folder)
        except subprocess.CalledProcessError as error:
            pytest.skip(f"this machine's kernel lets nobody mount: {error}")
        yield made
    finally:
        if made:
            made.stop()
        else:
            subprocess.run(["umount", "--lazy", f"{folder}/root"], check=False, capture_output=True)
            subprocess.run(["umount", "--lazy", folder], check=False, capture_output=True)
        os.rmdir(folder)


def test_the_page_as_it_stands(machine):
    machine.run("userdel backfeed || true; groupdel backfeed || true", check=False)
    seen = []
    for heading, command in commands():
        done = machine.run(command, timeout=600)
        seen.append(command.split()[0])
        if command.startswith("install -d /etc/backfeed/tls"):
            # What the page's remark says: of the administrator's own authority.
            machine.run(
                "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=backfeed.test -addext subjectAltName=DNS:localhost "
                "-keyout /etc/backfeed/tls/server.key -out /etc/backfeed/tls/server.crt 2>/dev/null")
        if "enable --now" in command:
            # "Now" is when it is ready.
            assert machine.shown("ActiveState") == "active" and machine.shown("User") == "backfeed"
            assert machine.run("systemctl is-enabled backfeed").stdout.strip() == "enabled"
        if "add-user" in command:
            password = re.search(r"shown this once: (\S+)", done.stdout).group(1)
    assert {"make", "useradd", "systemctl", "runuser", "apt-get", "cp", "rm", "install", "adduser"} <= set(seen)

    # Through nginx, as a browser would: who nobody knows is refused, ann is let in.
    assert json.loads(machine.run("curl --silent --fail --cacert /etc/backfeed/tls/server.crt https://localhost/healthz").stdout) == {"status": "alive"}
    ask = "curl --silent --cacert /etc/backfeed/tls/server.crt --cookie-jar /root/jar --cookie /root/jar"
    assert machine.run(f"{ask} --output /dev/null --write-out '%{{http_code}}' https://localhost/v1/feeders").stdout == "401"
    machine.run(f"""{ask} --fail --header 'Content-Type: application/json' --header 'Origin: https://localhost' --data '{{"user":"ann","password":"{password}"}}' https://localhost/v1/session""")
    feeders = json.loads(machine.run(f"{ask} --fail https://localhost/v1/feeders").stdout)["items"]
    assert len(feeders) > 10 and all(feeder["direction"] == "unknown" for feeder in feeders)
    # What an aggregator comes to is open, what it does not need is not.
    listening = machine.run("ss --listening --tcp --numeric --no-header").stdout
    assert {port for port in re.findall(r"(?:0\.0\.0\.0|\*|\[::\]):(\d+)", listening)} & {"80", "443", "5560", "5561", "5562", "5563", "8080", "5432"} == {"80", "443", "5560", "5561"}
    # systemd had nothing to say about it, and its log is one of records.
    lines = machine.journal().splitlines()
    assert not [line for line in lines if "permitted for main PID" in line or "Failed" in line]
    assert [line for line in lines if line.startswith("{") and json.loads(line)["message"] == "started"]


def test_systemd_starts_again_what_was_killed_and_what_hangs(machine):
    before = machine.shown("MainPID")
    machine.run(f"kill -9 {before}")
    wait_for(lambda: machine.shown("MainPID") not in ("0", before) and machine.shown("ActiveState") == "active", 60, what="the start after a kill")
    assert machine.shown("NRestarts") == "1"
    # As `systemctl edit` would: a watchdog that one can wait for.
    machine.run("mkdir -p /etc/systemd/system/backfeed.service.d; printf '[Service]\\nWatchdogSec=5\\n' > /etc/systemd/system/backfeed.service.d/override.conf; systemctl daemon-reload; systemctl restart backfeed")
    before = machine.shown("MainPID")
    machine.run(f"kill -STOP {before}")
    wait_for(lambda: machine.shown("MainPID") not in ("0", before) and machine.shown("ActiveState") == "active", 120, what="the start after a hang")
    assert "Watchdog timeout" in machine.journal()
    # Accounts and the network were stored before all that.
    machine.run("curl --silent --fail --cacert /etc/backfeed/tls/server.crt --cookie /root/jar https://localhost/v1/feeders")


def test_an_upgrade_keeps_settings_and_data(machine):
    machine.run("printf '[http]\\nlisten = \"unix:/run/backfeed/http.sock\"\\nworkers = 3\\n' > /etc/backfeed/backfeed.toml")
    machine.run("scripts/install; systemctl restart backfeed")
    assert "workers = 3" in machine.run("cat /etc/backfeed/backfeed.toml").stdout
    feeders = json.loads(machine.run("curl --silent --fail --cacert /etc/backfeed/tls/server.crt --cookie /root/jar https://localhost/v1/feeders").stdout)["items"]
    assert len(feeders) > 10
    machine.run("systemctl stop backfeed")
    assert machine.shown("Result") == "success"
    # Nothing of it goes on, its PostgreSQL neither.
    assert not machine.run("pgrep --uid backfeed || true").stdout.strip()
