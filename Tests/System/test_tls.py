"""TLS of its own: who is served beyond loopback, with what, and what is refused."""
import http.client
import json
import socket
import ssl
import time
import urllib.parse
import warnings

import pytest
from conftest import DATA, Service, run, self_signed, wait_for

PASSWORD = "a long enough password"


def certificate(folder):
    self_signed(folder)
    return f"http.tls_certificate={folder}/server.crt", f"http.tls_key={folder}/server.key"


@pytest.fixture
def secured(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    service = Service(folder, settings=(*certificate(folder), "http.listen=0.0.0.0:0", "http.request_timeout_s=2"))
    yield service
    service.stop()


def connect(service, folder, **limits):
    context = ssl.create_default_context(cafile=folder / "server.crt")
    for name, value in limits.items():
        setattr(context, name, value)
    return http.client.HTTPSConnection("localhost", urllib.parse.urlsplit(service.http).port, context=context, timeout=20)


def ask(service, folder, method, path, body=None, **headers):
    connection = connect(service, folder)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        sent["Content-Type"] = "application/json"
    connection.request(method, path, None if body is None else json.dumps(body), sent)
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


def test_with_tls_of_its_own_it_serves_whoever_has_an_account(secured, folder):
    assert secured.http.startswith("https://0.0.0.0:")
    assert ask(secured, folder, "GET", "/healthz")[0] == 200
    # Not even on the machine, as long as there is no account; what a client says of itself helps nobody.
    for headers in ({}, {"X_Forwarded_Proto": "http"}, {"X_Real_IP": "127.0.0.1", "X_Forwarded_Proto": "https"}):
        status, _, text = ask(secured, folder, "GET", "/v1/feeders", **headers)
        assert status == 403 and "there are no accounts yet" in text
    (folder / "password").write_text(PASSWORD + "\n")
    run("access", "add-user", "sue", "--role", "supervisor", "--password-file", folder / "password", "--data-dir", folder / "state")
    token = run("access", "add-token", "sue", "--data-dir", folder / "state").stdout.strip()
    wait_for(lambda: ask(secured, folder, "GET", "/v1/feeders")[0] == 401, what="the account to be known")
    status, headers, text = ask(secured, folder, "GET", "/v1/feeders", Authorization=f"Bearer {token}")
    assert status == 200 and len(json.loads(text)["items"]) == 11 and headers["Strict-Transport-Security"] == "max-age=31536000"
    # A body of many records, whole.
    assert len(json.loads(ask(secured, folder, "GET", "/v1/openapi.json", Authorization=f"Bearer {token}")[2])["paths"]) > 30
    # The session's cookie is one that only comes back over TLS.
    status, headers, _ = ask(secured, folder, "POST", "/v1/session", {"user": "sue", "password": PASSWORD})
    assert status in (200, 201, 204) and headers["Set-Cookie"].startswith("__Host-backfeed=") and "; Secure" in headers["Set-Cookie"]
    # Events flow.
    connection = connect(secured, folder)
    connection.request("GET", "/v1/events", headers={"Authorization": f"Bearer {token}"})
    answer = connection.getresponse()
    lines = [answer.readline().decode() for _ in range(12)]
    assert answer.status == 200 and any(line.startswith("event: heartbeat") or line.startswith("event: feeders") for line in lines), lines
    # Guesses are counted by the address that they come from, whatever it claims to be.
    wrong = [ask(secured, folder, "POST", "/v1/session", {"user": "sue", "password": "x"}, X_Real_IP=f"10.0.0.{n}")[0] for n in range(7)]
    assert wrong[0] == 401 and wrong[-1] == 429


def test_what_is_no_tls_or_too_old_is_not_answered(secured, folder):
    port = urllib.parse.urlsplit(secured.http).port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert not plain.recv(4096).startswith(b"HTTP/")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        old = connect(secured, folder, minimum_version=ssl.TLSVersion.MINIMUM_SUPPORTED, maximum_version=ssl.TLSVersion.TLSv1_1)
    with pytest.raises((ssl.SSLError, ConnectionError)):
        old.request("GET", "/healthz")
        old.getresponse()
    # Who never shakes hands is not waited for; others are served meanwhile.
    idle = [socket.create_connection(("127.0.0.1", port), timeout=20) for _ in range(50)]
    assert ask(secured, folder, "GET", "/healthz")[0] == 200
    begun = time.monotonic()
    assert all(item.recv(1) == b"" for item in idle) and time.monotonic() - begun < 15


def test_what_is_not_secure_does_not_start(folder):
    pair = certificate(folder)
    (folder / "text").write_text("no certificate")
    for settings, words in (
        (("http.listen=0.0.0.0:0",), "beyond loopback only with http.tls_certificate"),
        (("http.listen=0.0.0.0:0", pair[1]), "http.tls_certificate"),
        ((pair[0],), "http.tls_key: expected a file beside"),
        ((f"http.tls_certificate={folder}/none", pair[1]), "cannot be read"),
        ((*pair, f"http.listen=unix:{folder}/socket"), "has no TLS of its own"),
        ((f"http.tls_certificate={folder}/text", pair[1], "http.listen=127.0.0.1:0"), "expected PEM"),
    ):
        options = [word for setting in ("telemetry.bind=tcp://127.0.0.1:*", "control.bind=tcp://127.0.0.1:*", "advisories.bind=tcp://127.0.0.1:*", "validator.bind=tcp://127.0.0.1:*", *settings) for word in ("--set", setting)]
        done = run("run", "--data-dir", folder / "state", *options, expect=None)
        assert done.returncode != 0 and words in done.stderr, (settings, done.stderr)
