"""What packaging/ and docker/ say, run on plain Debian: installation, systemd's words, nginx in front, the database's roles."""
import http.client
import json
import os
import re
import shutil
import signal
import socket
import ssl
import subprocess
import threading
import time

import pytest
import yaml
from conftest import BACKFEED, ROOT, free_port, run, self_signed, wait_for
from test_failover import PREFIX, BINARIES, Server, postgres

DOCKERFILE = (ROOT / "docker/Dockerfile").read_text().replace("\\\n", " ")
COMPOSE = yaml.safe_load((ROOT / "docker/compose.yaml").read_text())


# MARK: What is installed


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The Dockerfile's own command, into a folder."""
    (command,) = re.findall(r"^RUN (make install .*)$", DOCKERFILE, re.M)
    root = tmp_path_factory.mktemp("root")
    subprocess.run(command.replace("DESTDIR=/out", f"DESTDIR={root}").split(), cwd=ROOT, check=True, timeout=600, capture_output=True)
    return root


def test_the_installed_program_finds_its_files_and_keeps_the_settings(installed):
    program = installed / "usr/bin/backfeed"
    answer = subprocess.run([program, "network", "check", installed / "usr/share/backfeed/data/semiurb"], capture_output=True, text=True, timeout=60, cwd="/")
    assert answer.returncode == 0 and "feeders" in answer.stdout, answer
    settings = subprocess.run([program, "settings", "--config", installed / "etc/backfeed/backfeed.toml"], capture_output=True, text=True, timeout=60)
    assert re.search(r"^http.listen +unix:/run/backfeed/http.sock ", settings.stdout, re.M), settings
    # What an administrator has written is not overwritten.
    (installed / "etc/backfeed/backfeed.toml").write_text("[http]\nworkers = 2\n")
    subprocess.run([ROOT / "scripts/install"], env={**os.environ, "DESTDIR": str(installed)}, check=True, timeout=60)
    assert "workers = 2" in (installed / "etc/backfeed/backfeed.toml").read_text()
    shutil.copy(ROOT / "packaging/backfeed.toml", installed / "etc/backfeed/backfeed.toml")


def test_the_image_has_every_library_that_the_program_links_against(installed):
    """Directly: what those need, Debian's packages see to."""
    (stage,) = re.findall(r"apt-get install -y --no-install-recommends ([^&]*)&&", DOCKERFILE)
    packages = set(stage.split())
    ours = {path.name for path in (installed / "usr/lib/backfeed").iterdir()}
    for file in (installed / "usr/lib/backfeed").iterdir():
        needed = re.findall(r"NEEDED +(\S+)", subprocess.run(["objdump", "-p", file], capture_output=True, text=True, check=True).stdout)
        found = dict(re.findall(r"^\s*(\S+) => (/\S+)", subprocess.run(["ldd", file], capture_output=True, text=True, check=True).stdout, re.M))
        for name in needed:
            if name in ours or name.startswith("ld-linux"):
                continue
            paths = {os.path.realpath(found[name]), os.path.realpath(found[name]).removeprefix("/usr"), "/usr" + found[name], found[name]}
            owners = {line.split(":")[0] for path in paths for line in subprocess.run(["dpkg", "-S", path], capture_output=True, text=True).stdout.splitlines()}
            assert owners & (packages | {"libc6", "libgcc-s1"}), f"{file.name} needs {name} of {owners or 'nobody'}"


def test_the_unit_is_one_that_systemd_takes(installed):
    unit = (installed / "usr/lib/systemd/system/backfeed.service").read_text()
    # The program is not at its place on this machine: only that may be complained of.
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", installed / "usr/lib/systemd/system/backfeed.service"], capture_output=True, text=True, timeout=60)
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "backfeed" in line and "is not executable" not in line]
    assert not complaints
    assert {"Type=notify", "NoNewPrivileges=yes", "ProtectSystem=strict"} <= set(unit.splitlines())
    score = subprocess.run(["systemd-analyze", "security", "--offline=true", installed / "usr/lib/systemd/system/backfeed.service"], capture_output=True, text=True, timeout=60).stdout
    assert float(re.search(r"Overall exposure level.*: ([\d.]+)", score).group(1)) < 2.5


# MARK: What the containers' files say


def test_the_containers_are_described_whole():
    services, named, secrets = COMPOSE["services"], COMPOSE["volumes"], COMPOSE["secrets"]
    assert {"postgres", "backfeed", "nginx", "prometheus", "grafana", "demo"} <= set(services)
    readme = (ROOT / "docker/README.md").read_text()
    for name, service in services.items():
        assert set(service.get("depends_on", [])) <= set(services), name
        assert set(service.get("secrets", [])) <= set(secrets), name
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            if source in ("./tls",):
                assert "mkdir -p secrets tls" in readme
            elif source.startswith("."):
                assert (ROOT / "docker" / source).exists(), f"{name}: {source}"
            else:
                assert source in named, f"{name}: {source}"
        for secret in re.findall(r"/run/secrets/(\w+)", json.dumps(service)):
            assert secret in service["secrets"], f"{name}: {secret}"
        if "build" not in service:
            assert ":" in service["image"] and not service["image"].endswith(":latest"), name
    for path in re.findall(r"/run/secrets/(\w+)", (ROOT / "docker/roles.sql").read_text()):
        assert path in services["roles"]["secrets"]
    # Only TLS and what needs a key is reachable from outside.
    published = {port for service in services.values() for port in service.get("ports", []) if not port.startswith("127.")}
    assert published == {"80:80", "443:443", "5560:5560", "5561:5561"}


def test_the_containers_without_nginx_are_described_too():
    class Loader(yaml.SafeLoader):
        """Compose's own words: what a second file takes away, or puts in the place of the first one's."""

    Loader.add_constructor("!reset", lambda loader, node: None)
    Loader.add_constructor("!override", lambda loader, node: loader.construct_sequence(node))
    changed = yaml.load((ROOT / "docker/compose.tls.yaml").read_text(), Loader)["services"]
    assert changed["nginx"] is None and "nginx" not in json.dumps([service for service in changed.values() if service])
    for name, service in COMPOSE["services"].items():
        if name != "nginx":
            assert "nginx" not in changed.get(name, service).get("depends_on", []), name
    environment, (port,) = changed["backfeed"]["environment"], changed["backfeed"]["ports"]
    assert port.endswith(":" + environment["BACKFEED_HTTP_LISTEN"].split(":")[1])
    known = set(re.findall(r"^\| `([a-z_.]+)`", run("settings", "--format", "markdown").stdout, re.M))
    assert {name.removeprefix("BACKFEED_").lower().replace("_", ".", 1) for name in environment} <= known
    first, second = ((ROOT / f"docker/prometheus/{name}").read_text() for name in ("prometheus.yml", "prometheus.tls.yml"))
    assert first.replace("nginx:443", "backfeed:8443") == second


def test_the_image_is_made_as_images_should_be():
    last = DOCKERFILE[DOCKERFILE.rindex("FROM "):]
    assert re.search(r"^USER backfeed$", last, re.M) and "HEALTHCHECK" in last and "ENTRYPOINT [" in last
    assert "rm -rf /var/lib/apt/lists" in last and "sudo" not in DOCKERFILE and "ADD " not in DOCKERFILE
    for image in re.findall(r"^FROM (\S+)", DOCKERFILE, re.M):
        assert ":" in image and not image.endswith("latest")
    # What it copies before the rest is all that the command after it reads.
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", ".build", "var"} <= set(ignored)


def test_grafana_is_given_what_its_dashboards_ask_for():
    sources = yaml.safe_load((ROOT / "docker/grafana/provisioning/datasources/backfeed.yaml").read_text())["datasources"]
    kinds = {source["type"] for source in sources}
    for path in (ROOT / "Dashboards/grafana").glob("*.json"):
        asked = {v["query"] for v in json.loads(path.read_text())["templating"]["list"] if v["type"] == "datasource"}
        assert asked <= kinds, path
    (provider,) = yaml.safe_load((ROOT / "docker/grafana/provisioning/dashboards/backfeed.yaml").read_text())["providers"]
    assert any(volume.startswith("../Dashboards/grafana:" + provider["options"]["path"]) for volume in COMPOSE["services"]["grafana"]["volumes"])


def test_alert_rules_are_valid_and_ask_for_metrics_that_there_are():
    done = subprocess.run(["promtool", "check", "rules", ROOT / "packaging/alerts.yml"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    known = set()
    for path in (ROOT / "Sources").rglob("*.swift"):
        known |= set(re.findall(r'"(backfeed_\w+)"', path.read_text()))
    for rule in yaml.safe_load((ROOT / "packaging/alerts.yml").read_text())["groups"][0]["rules"]:
        assert set(re.findall(r"backfeed_\w+", rule["expr"])) <= known, rule["alert"]
        assert rule["annotations"]["action"] and rule["labels"]["severity"] in ("critical", "warning")


def test_doctor_explains_each_alert():
    names = [rule["alert"] for rule in yaml.safe_load((ROOT / "packaging/alerts.yml").read_text())["groups"][0]["rules"]]
    text = run("doctor", "--alert", "all").stdout
    assert re.findall(r"^(Backfeed\w+): ", text, re.MULTILINE) == names
    one = run("doctor", "--alert", "BackfeedGaps").stdout
    assert one.startswith("BackfeedGaps: ") and "backfeed.data_gap" in one and "BackfeedClock" not in one
    assert "expected all, BackfeedDown" in run("doctor", "--alert", "Nonsense", expect=2).stderr
    # What it names exists: metrics, views, settings.
    known = subprocess.run(["grep", "-rhoE", r"backfeed_[a-z_]+", ROOT / "Sources"], capture_output=True, text=True).stdout.split()
    assert {name for name in re.findall(r"backfeed_[a-z_]+", text) if name != "backfeed_store"} <= set(known)


def test_alert_rules_fire_when_they_should(folder):
    """Each on made-up series: once when it must, and not while all is well."""
    well = [
        'up{job="backfeed"} 1', 'backfeed_part_silence_seconds{part="ingest"} 0.5', "backfeed_store_healthy 1", 'backfeed_part_healthy{part="ingest"} 1', "backfeed_spool_bytes 0", "backfeed_spool_full_total 0",
        'backfeed_sequence_missing{aggregator="AGG-A"} 0', 'backfeed_feeder_head_age_seconds{feeder="F01"} 3', 'backfeed_webhook_dead_letters{webhook="w"} 0',
    ]
    bad = {
        "BackfeedDown": 'up{job="backfeed"} 0', "BackfeedPartHangs": 'backfeed_part_silence_seconds{part="analyser"} 80', "BackfeedStoreFails": "backfeed_store_healthy 0", "BackfeedBackupOld": "backfeed_backup_wal_waiting 12", "BackfeedPartFails": 'backfeed_part_healthy{part="analyser"} 0',
        "BackfeedGaps": 'backfeed_sequence_missing{aggregator="AGG-B"} 4', "BackfeedHeadSilent": 'backfeed_feeder_head_age_seconds{feeder="F02"} 500',
        "BackfeedWebhookDeadLetters": 'backfeed_webhook_dead_letters{webhook="v"} 2', "BackfeedAnalyserLate": "backfeed_feeder_watermark_timestamp_seconds 0",
        "BackfeedStoreLate": "backfeed_last_stored_timestamp_seconds 0", "BackfeedClock": "backfeed_clock_timestamp_seconds 7000",
    }
    growing = {"BackfeedSpoolGrows": "backfeed_spool_bytes 0+1000x", "BackfeedSpoolFull": "backfeed_spool_full_total 0+1x", "BackfeedRejects": 'backfeed_rejects_total{reason="unknown device"} 0+60x'}
    rules = {rule["alert"] for rule in yaml.safe_load((ROOT / "packaging/alerts.yml").read_text())["groups"][0]["rules"]}
    assert rules == set(bad) | set(growing)

    def series(text):
        name, value = text.rsplit(" ", 1)
        return {"series": name, "values": f"{value}60" if value.endswith("x") else f"{value}x60"}

    now = [{"series": name, "values": "0+60x60"} for name in ("backfeed_feeder_watermark_timestamp_seconds", "backfeed_last_stored_timestamp_seconds", "backfeed_clock_timestamp_seconds")]
    cpu = [{"series": "backfeed_process_cpu_seconds_total", "values": "1x60"}]
    tests = [{"interval": "1m", "input_series": [series(line) for line in well] + now + cpu, "alert_rule_test": [{"eval_time": "50m", "alertname": name} for name in sorted(rules)]}]
    checks = folder / "rules.yml"
    document = {"rule_files": [str(ROOT / "packaging/alerts.yml")], "evaluation_interval": "1m", "tests": tests}
    checks.write_text(yaml.safe_dump(document))
    done = subprocess.run(["promtool", "test", "rules", checks], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    # What is not there at all is no health.
    for name in ("BackfeedDown", "BackfeedAnalyserLate", "BackfeedStoreLate", "BackfeedStoreFails"):
        tests[0]["input_series"], tests[0]["alert_rule_test"] = cpu, [{"eval_time": "50m", "alertname": name}]
        checks.write_text(yaml.safe_dump(document))
        done = subprocess.run(["promtool", "test", "rules", checks], capture_output=True, text=True, timeout=120)
        assert done.returncode != 0 and f'alertname="{name}"' in done.stdout + done.stderr, (name, done)
    # The same with one thing wrong each: that alert and no silence about it, which promtool then calls a failure.
    for name, line in {**bad, **growing}.items():
        tests[0]["input_series"] = [series(line)] + cpu
        tests[0]["alert_rule_test"] = [{"eval_time": "50m", "alertname": name}]
        checks.write_text(yaml.safe_dump(document))
        done = subprocess.run(["promtool", "test", "rules", checks], capture_output=True, text=True, timeout=120)
        assert done.returncode != 0 and f'alertname="{name}"' in done.stdout + done.stderr, (name, done)


# MARK: The service behind nginx, on a database of its own


class Behind:
    """The service as `compose.yaml` starts it: own database and roles, console on a socket, nginx with TLS in front."""

    def __init__(self, folder):
        self.folder = folder
        if os.getuid() == 0:
            shutil.chown(folder, "postgres")
        self.secrets = folder / "secrets"
        self.secrets.mkdir()
        for name in ("service_password", "reader_password"):
            (self.secrets / name).write_text(f"{name} of this 'test'\n")
        (folder / "run").mkdir(mode=0o755)
        (folder / "tls").mkdir()
        self_signed(folder / "tls")
        self.database = Server(folder / "database", free_port())
        postgres("initdb", "-D", self.database.folder, "-U", "backfeed", "-A", "trust", "--no-sync")
        with open(self.database.folder / "pg_hba.conf", "w") as file:
            file.write("local all backfeed trust\nhost all all 127.0.0.1/32 scram-sha-256\n")
        self.database.start()
        self.owner = f"host={self.database.folder} port={self.database.port} dbname=postgres user=backfeed"
        self.service_url = f"host=127.0.0.1 port={self.database.port} dbname=postgres user=backfeed_service"
        self.https, self.plain = free_port(), free_port()
        self.process = self.nginx = None
        # As systemd does, what is said is read at once: whoever says something waits for it.
        self.said = []
        ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        ear.bind(str(folder / "notify"))
        threading.Thread(target=self.hear, args=(ear,), daemon=True).start()

    def hear(self, ear):
        while True:
            self.said.append(ear.recv(4096).decode())

    def prepare(self):
        run("migrate", "--set", f"database.url={self.owner}")
        sql = (ROOT / "docker/roles.sql").read_text().replace("/run/secrets", str(self.secrets))
        done = subprocess.run(["psql", self.owner, "--no-psqlrc", "--set=ON_ERROR_STOP=1"], input=sql, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    @property
    def environment(self):
        """As the containers have it: the password out of its secret, the rest in the environment."""
        return {
            **os.environ, "PASSWORD_FILE": str(self.secrets / "service_password"), "BACKFEED_DATABASE_URL": self.service_url, "BACKFEED_HTTP_HOSTS": "localhost,nginx",
            "BACKFEED_HTTP_LISTEN": f"unix:{self.folder}/run/http.sock", "NOTIFY_SOCKET": str(self.folder / "notify"),
        }

    def command(self, *words, config=True):
        settings = ["--config", str(ROOT / "packaging/backfeed.toml"), "--data-dir", str(self.folder / "state")] if config else []
        for bind in ("telemetry.bind=tcp://127.0.0.1:*", "control.bind=tcp://127.0.0.1:*", "advisories.bind=tcp://127.0.0.1:*", "validator.bind=tcp://127.0.0.1:*"):
            settings += ["--set", bind]
        return ["/bin/sh", str(ROOT / "docker/with-password.sh"), str(BACKFEED), *words, *settings]

    def start(self):
        self.log = open(self.folder / "service.log", "a")
        self.process = subprocess.Popen(self.command("run"), env=self.environment, stdout=subprocess.PIPE, stderr=self.log, text=True, cwd=self.folder)
        line = self.process.stdout.readline()
        assert line.startswith(f"ready http=unix:{self.folder}/run/http.sock"), line + (self.folder / "service.log").read_text()[-2000:]

    def backfeed(self, *words):
        done = subprocess.run(self.command(*words), env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done
        return done.stdout

    def start_nginx(self):
        text = (ROOT / "packaging/nginx.conf").read_text()
        text = text.replace("/etc/backfeed/tls", str(self.folder / "tls")).replace("/run/backfeed", str(self.folder / "run"))
        text = text.replace("listen 443", f"listen 127.0.0.1:{self.https}").replace("listen 80", f"listen 127.0.0.1:{self.plain}")
        state = self.folder / "nginx"
        state.mkdir()
        paths = "".join(f"{name}_temp_path {state}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        user = "user root;" if os.getuid() == 0 else ""
        (state / "nginx.conf").write_text(
            f"{user} daemon off; pid {state}/pid; error_log {state}/error.log; events {{ worker_connections 1024; }}\nhttp {{ access_log off; {paths}\n{text}\n}}\n")
        check = subprocess.run(["/usr/sbin/nginx", "-t", "-p", state, "-c", state / "nginx.conf"], capture_output=True, text=True, timeout=30)
        assert check.returncode == 0, check.stderr
        self.nginx = subprocess.Popen(["/usr/sbin/nginx", "-p", state, "-c", state / "nginx.conf"], stderr=subprocess.DEVNULL)
        wait_for(self.answers, what="nginx")

    def answers(self):
        try:
            return self.ask("GET", "/healthz")[0] == 200
        except OSError:
            return False

    @property
    def tls(self):
        context = ssl.create_default_context(cafile=self.folder / "tls/server.crt")
        return context

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPSConnection("localhost", self.https, context=self.tls, timeout=20)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            headers["Content-Type"] = "application/json"
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read().decode()

    def raw(self, data, seconds=20):
        """What comes back for these bytes, until the other side closes."""
        received = b""
        with socket.create_connection(("localhost", self.https), timeout=seconds) as plain, self.tls.wrap_socket(plain, server_hostname="localhost") as connection:
            connection.sendall(data)
            try:
                while part := connection.recv(4096):
                    received += part
            except (TimeoutError, ssl.SSLError):
                return received + b"...still open"
        return received

    def close(self):
        for process in (self.nginx, self.process):
            if process and process.poll() is None:
                process.terminate()
                process.wait(60)
        subprocess.run([*PREFIX, str(BINARIES / "pg_ctl"), "-D", str(self.database.folder), "-m", "immediate", "stop"], capture_output=True, cwd="/tmp")


@pytest.fixture
def behind(folder):
    made = Behind(folder)
    yield made
    made.close()


def test_the_service_behind_nginx(behind, folder):
    behind.prepare()
    behind.prepare()  # each start of the containers does it again
    behind.start()
    wait_for(lambda: "WATCHDOG=1" in behind.said, what="the watchdog's word")
    assert behind.said[0] == "READY=1"
    behind.start_nginx()

    # Nobody is served through the proxy before there is an account.
    status, _, text = behind.ask("GET", "/v1/feeders")
    assert status == 403 and "add-user" in text
    password = behind.backfeed("access", "add-user", "ann", "--role", "operator").split()[-1]
    behind.backfeed("access", "add-user", "prometheus", "--role", "machine")
    token = re.search(r"der_\S+", behind.backfeed("access", "add-token", "prometheus", "--note", "metrics")).group(0)
    wait_for(lambda: behind.ask("GET", "/v1/feeders")[0] == 401, what="accounts in force")

    # A browser logs in; a client cannot say that it came without TLS.
    status, headers, _ = behind.ask("POST", "/v1/session", {"user": "ann", "password": password}, X_Forwarded_Proto="http", X_Real_IP="10.0.0.1")
    cookie = headers["Set-Cookie"]
    assert status == 200 and cookie.startswith("__Host-") and "Secure" in cookie
    assert "max-age" in headers["Strict-Transport-Security"] and "nginx/" not in headers.get("Server", "")
    assert behind.ask("GET", "/v1/feeders", Cookie=cookie.split(";")[0])[0] == 200
    # Prometheus, as it is configured: by the container's name, with its token.
    status, _, metrics = behind.ask("GET", "/metrics", Host="nginx", Authorization=f"Bearer {token}")
    assert status == 200 and re.search(r'backfeed_part_silence_seconds\{part="analyser"\} [\d.]+', metrics)
    assert behind.ask("GET", "/metrics", Host="elsewhere", Authorization=f"Bearer {token}")[0] == 421
    # The service asks what address logs in: the proxy's word, not the client's.
    audit = subprocess.run(["psql", behind.owner, "-AtXc", "SELECT actor, content FROM backfeed.audit WHERE action = 'access.login'"], capture_output=True, text=True, check=True).stdout
    assert audit.startswith("ann|") and "127.0.0.1" in audit and "10.0.0.1" not in audit, audit

    # HTTP/2, and events that flow through it.
    curl = ["curl", "--silent", "--http2", "--cacert", folder / "tls/server.crt", "--header", f"Authorization: Bearer {token}"]
    answer = subprocess.run([*curl, "--write-out", "%{http_version}", "--output", "/dev/null", f"https://localhost:{behind.https}/v1/feeders"], capture_output=True, text=True, timeout=30)
    assert answer.stdout == "2"
    stream = subprocess.run([*curl, "--no-buffer", "--max-time", "4", f"https://localhost:{behind.https}/v1/events"], capture_output=True, text=True, timeout=30)
    assert stream.stdout.count("event: heartbeat") >= 2
    redirect = http.client.HTTPConnection("127.0.0.1", behind.plain, timeout=10)
    redirect.request("GET", "/x", headers={"Host": "localhost"})
    assert redirect.getresponse().getheader("Location") == "https://localhost/x"

    # What two servers in a row could read differently reaches nobody.
    head = b"POST /v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    for smuggled in (
        b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"Content-Length: 3\r\nContent-Length: 30\r\n\r\nabcGET /metrics HTTP/1.1\r\n\r\n",
        b"Content-Length: +3\r\n\r\nabc",
        b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    ):
        answer = behind.raw(head + smuggled)
        assert re.match(rb"HTTP/1.1 (400|501) ", answer) and answer.count(b"HTTP/1.1 ") == 1 and b"still open" not in answer, (smuggled, answer)
    # Who sends slowly is let go: his connection is closed within a few seconds of the limit.
    began = time.monotonic()
    assert b"still open" not in behind.raw(b"GET /v1/feeders HTTP/1.1\r\nHost: loc", seconds=30) and time.monotonic() - began < 25

    # The image's own question whether it is well.
    (health,) = re.findall(r'HEALTHCHECK.*?CMD (\[.*\])', DOCKERFILE)
    health = [word.replace("/run/backfeed", str(folder / "run")) for word in json.loads(health)]
    assert subprocess.run(health, timeout=30).returncode == 0

    # Another service does not take the socket away; a killed one's is taken over; one that ends leaves none.
    other = subprocess.run([*behind.command("run"), "--data-dir", folder / "other", "--set", "database.url="], env={**behind.environment, "NOTIFY_SOCKET": ""}, capture_output=True, text=True, timeout=60, cwd=folder)
    assert other.returncode != 0 and "another service listens there" in other.stderr, other
    behind.process.kill()
    behind.process.wait()
    assert subprocess.run(health, timeout=30, stderr=subprocess.DEVNULL).returncode != 0
    behind.start()
    assert behind.ask("GET", "/healthz")[0] == 200
    behind.process.send_signal(signal.SIGTERM)
    assert behind.process.wait(60) == 0 and not (folder / "run/http.sock").exists()
    wait_for(lambda: "STOPPING=1" in behind.said, what="the last word")


def test_grafanas_role_reads_and_no_more(behind):
    behind.prepare()
    environment = {**os.environ, "PGPASSWORD": (behind.secrets / "reader_password").read_text().strip()}

    def ask(sql):
        url = f"host=127.0.0.1 port={behind.database.port} dbname=postgres user=grafana"
        return subprocess.run(["psql", url, "-AtXc", sql], env=environment, capture_output=True, text=True, timeout=30)

    assert ask("SELECT count(*) FROM backfeed.advisory").stdout.strip() == "0"
    assert "denied" in ask("SELECT * FROM backfeed_store.audit_record").stderr
    assert "denied" in ask("DELETE FROM backfeed.advisory").stderr
