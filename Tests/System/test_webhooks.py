"""Webhooks: every event, in order, at least once, signed; whatever is down."""
import base64
import hashlib
import hmac
import http.server
import json
import re
import signal
import threading
import time

from conftest import DATA, Service, run, wait_for
from test_lifecycle import act, reverse


class Receiver:
    """An address that takes what it is sent, or does not."""

    def __init__(self):
        self.taken, self.attempts, self.answer = [], 0, 204
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.attempts += 1
                status = receiver.answer
                if 200 <= status < 300:
                    receiver.taken.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            do_GET = do_POST

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/advisories"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def sequences(self):
        return [json.loads(body)["sequence"] for _, body in self.taken]


def numbers(service, condition="true"):
    return [int(n) for n in service.sql(f"SELECT sequence FROM backfeed_store.advisory_event WHERE {condition} ORDER BY sequence").split()]


def test_every_event_in_order_signed_and_after_an_outage(service, folder):
    def webhook(*words, expect=0):
        return run("webhook", *words, "--data-dir", folder / "state", expect=expect)

    for url in ("http://example.com/x", "ftp://127.0.0.1/", "nonsense"):
        assert "expected https://" in webhook("add", "x", url, expect=2).stderr
    good, broken = Receiver(), Receiver()
    broken.answer = 500
    secret = re.search(r"whsec_\S+", webhook("add", "desk", good.url, "--severity", "4").stdout).group()
    webhook("add", "desk", good.url, expect=1)
    webhook("add", "down", broken.url, "--severity", "4")
    advisory = reverse(service)
    act(service, advisory, "acknowledge", actor="ann")
    wait_for(lambda: good.sequences == numbers(service) and len(good.sequences) >= 2, what="the events")
    headers, body = good.taken[0]
    event = json.loads(body)
    assert event["specversion"] == "1.0" and event["type"].endswith(".raised") and headers["content-type"].startswith("application/cloudevents+json")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60
    # One that is down holds up no other, is asked again, and gets everything once it is back: also after a kill.
    wait_for(lambda: broken.attempts >= 2, what="attempts")
    assert broken.taken == [] and service.metric("backfeed_webhook_waiting", webhook="down") >= 2
    assert "answered 500" in webhook("list").stdout
    service.stop(signal.SIGKILL)
    good.answer = broken.answer = 200
    service.start()
    act(service, advisory, "comment", reason="after the outage", actor="ann")
    for receiver in (good, broken):
        wait_for(lambda: sorted(set(receiver.sequences)) == numbers(service) and receiver.sequences == sorted(receiver.sequences), what="all of them")
    # A redirect is no way to take an event.
    good.answer = 302
    before = len(good.taken)
    act(service, advisory, "comment", reason="moved", actor="ann")
    wait_for(lambda: "answered 302" in webhook("list").stdout, what="the refusal")
    assert len(good.taken) == before
    assert "is told no more" in webhook("remove", "down").stdout
    actions = service.sql("SELECT action FROM backfeed.audit").split()
    assert actions.count("webhook.added") == 2 and "webhook.removed" in actions
    assert secret not in service.sql("SELECT content FROM backfeed.audit")


def test_what_is_given_up_is_kept_and_sent_again(folder, request):
    run("network", "import", DATA, "--data-dir", folder / "state")
    service = Service(folder, settings=("webhooks.give_up_after_s=2",))
    request.addfinalizer(service.stop)
    receiver = Receiver()
    receiver.answer = 503
    run("webhook", "add", "desk", receiver.url, "--severity", "3", "--data-dir", folder / "state")
    advisory = reverse(service)
    wait_for(lambda: service.metric("backfeed_webhook_dead_letters", webhook="desk") >= 1, what="a dead letter")
    receiver.answer = 200
    act(service, advisory, "comment", reason="works again", actor="ann")
    wait_for(lambda: receiver.taken, what="the next one")
    dead = numbers(service, "sequence IN (SELECT sequence FROM backfeed_store.webhook_dead_letter)")
    assert dead and not set(dead) & set(receiver.sequences)
    assert "tried again" in run("webhook", "retry", "desk", "--data-dir", folder / "state").stdout
    wait_for(lambda: set(dead) <= set(receiver.sequences), what="the dead letters")
    wait_for(lambda: service.sql("SELECT count(*) FROM backfeed_store.webhook_dead_letter") == "0", what="none to be left")
