"""Accounts: who may look and act, over HTTP and in the console."""
import http.client
import json
import re
import subprocess
import time
import urllib.parse

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import DATA, OUTPUT, Service, run, wait_for
from playwright.sync_api import expect
from test_console import browser, open_page  # noqa: F401: a fixture
from test_lifecycle import reverse
from test_lossless import freeze, postmaster, thaw

PASSWORD = "a long enough password"


@pytest.fixture
def guarded(service, folder):
    """A service with an account for each role, and a token for each: service.tokens by role."""
    (folder / "password").write_text(PASSWORD + "\n")

    def access(*words, expect=0):
        return run("access", *words, "--data-dir", folder / "state", expect=expect)

    service.access, service.tokens = access, {}
    for role in ("viewer", "operator", "engineer", "supervisor", "admin", "machine"):
        access("add-user", role[:3], "--role", role, *([] if role == "machine" else ["--password-file", folder / "password"]))
        service.tokens[role] = access("add-token", role[:3]).stdout.strip()
    wait_for(lambda: call(service, "GET", "/v1/feeders")[0] == 401, what="the accounts to be known")
    return service


def call(service, method, path, body=None, token=None, **headers):
    """Status, body and headers; header names with _ for -."""
    address = urllib.parse.urlsplit(service.http)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=30)
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        sent["Authorization"] = f"Bearer {token}"
    if body is not None:
        sent.setdefault("Content-Type", "application/json")
    connection.request(method, path, None if body is None else json.dumps(body), sent)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if text.startswith("{") else text, dict(answer.getheaders())


def test_tokens_are_asked_for_and_end(guarded, folder):
    get = lambda token, path="/v1/feeders": call(guarded, "GET", path, token=token)[0]  # noqa: E731
    assert all(get(token) == 200 for token in guarded.tokens.values())
    # What is no secret, and what is.
    assert [get(None, path) for path in ("/healthz", "/readyz", "/login.html", "/metrics", "/v1/events", "/v1/audit")] == [200, 200, 200, 401, 401, 401]
    assert get(guarded.tokens["machine"], "/metrics") == 200
    token = guarded.tokens["viewer"]
    for wrong in (token[:-1] + ("A" if token[-1] != "A" else "B"), token + "A", "der_", "", "x" * 5000):
        assert call(guarded, "GET", "/v1/feeders", Authorization=f"Bearer {wrong}")[0] in (401, 431), wrong
    assert call(guarded, "GET", "/v1/feeders", Authorization=f"Basic {token}")[0] == 401
    assert call(guarded, "GET", f"/v1/feeders?token={token}")[0] == 401
    # Nobody finds it in the database, or in the log.
    dump = guarded.sql("SELECT t::text FROM backfeed_store.access_token t") + guarded.sql("SELECT a::text FROM backfeed_store.account a") + guarded.sql("SELECT content FROM backfeed.audit")
    assert token not in dump and PASSWORD not in dump and token not in (folder / "service.log").read_text()
    assert "$argon2id$" in dump
    # Expired, and revoked: at once.
    guarded.sql("UPDATE backfeed_store.access_token SET expires_at = now() - interval '1 second' WHERE account = 'eng'")
    assert get(guarded.tokens["engineer"]) == 401
    second = guarded.access("add-token", "vie", "--for", "1", "--note", "notebook")
    digest = re.search(r"revoke (\w+)", second.stderr).group(1)
    guarded.access("revoke", digest)
    assert get(second.stdout.strip()) == 401 and get(token) == 200
    guarded.access("revoke", "vie")
    assert get(token) == 401
    guarded.access("add-user", "vie", "--role", "admin", expect=1)
    assert "revoked" in guarded.access("list").stdout
    assert "expected viewer" in guarded.access("add-user", "x", "--role", "king", expect=2).stderr


def test_everybody_acts_under_their_own_name_and_role(guarded):
    tokens = guarded.tokens
    switch = "/v1/network/switches/MV2.101_Switch_178"
    position = {"position": "closed", "reason": "read"}
    assert call(guarded, "PUT", switch, position, tokens["viewer"])[0] == 403
    refused = call(guarded, "PUT", switch, {**position, "actor": "sup"}, tokens["operator"])
    assert refused[0] == 403 and "you are ope" in refused[1]["detail"]
    assert call(guarded, "PUT", switch, position, tokens["operator"])[0] == 200
    assert call(guarded, "PUT", switch, position, tokens["machine"], X_Backfeed_Actor="mac")[0] == 200
    # A plan's author is who sends it, and nobody approves their own.
    plan = {"id": "P1", "kind": "LOAD_TRANSFER", "author": "sup", "steps": [{"sequence": 1, "action": "open", "element": "MV2.101_Switch_178"}]}
    assert "you are ope" in call(guarded, "POST", "/v1/switching/plans", plan, tokens["operator"])[1]["detail"]
    assert call(guarded, "POST", "/v1/switching/plans", {**plan, "author": "ope"}, tokens["operator"])[0] == 201
    assert call(guarded, "PUT", "/v1/switching/plans/P1", {**plan, "author": "ope"}, tokens["engineer"])[0] == 403
    verdict = call(guarded, "POST", "/v1/switching/plans/P1/validate", {}, tokens["engineer"])[1]
    # What is said of accounts is true: there are some.
    (people,) = [item["reason"] for item in verdict["verdict"]["not_run"] if item["check"] == "X4"]
    assert "have signed in" in people and "at their word" not in people
    for role in ("viewer", "engineer", "admin", "machine"):
        assert call(guarded, "POST", "/v1/switching/plans/P1/approve", {"verdict": verdict["verdict_id"]}, tokens[role])[0] == 403
    refused = call(guarded, "POST", "/v1/switching/plans/P1/overrides", {"key": "x", "role": "supervisor", "reason": "r"}, tokens["operator"])
    assert refused[0] == 403 and "not supervisor" in refused[1]["detail"]
    # Both halves of an override are given by those that docs/access.md names, and then it is a condition: who may not is 403.
    judged = verdict["verdict"]["findings"]
    keys = call(guarded, "GET", "/v1/switching/plans/P1", token=tokens["viewer"])[1]["finding_keys"]
    finding = {"key": next(key for key, f in zip(keys, judged) if (f["check"], f["severity"]) == ("T7", "BLOCK_SOFT")), "reason": "r", "expires_at": "2100-01-01T00:00:00Z"}
    for role in ("engineer", "supervisor"):
        given = call(guarded, "POST", "/v1/switching/plans/P1/overrides", {**finding, "role": role}, tokens[role])
        assert given[0] == 200, given
    eased = call(guarded, "POST", "/v1/switching/plans/P1/validate", {}, tokens["engineer"])[1]["verdict"]["findings"]
    assert [f["severity"] for f in eased if f["check"] == "T7"] == ["CONDITION"]
    # One who looks is heard, and told that looking does not help here.
    assert call(guarded, "POST", "/v1/switching/plans/P1/overrides", {**finding, "role": "field"}, tokens["operator"])[0] == 409
    for role in ("viewer", "admin", "machine"):
        assert call(guarded, "POST", "/v1/switching/plans/P1/overrides", {**finding, "role": "engineer"}, tokens[role])[0] == 403, role
    assert "not engineer" in call(guarded, "POST", "/v1/switching/plans/P1/overrides", {**finding, "role": "engineer"}, tokens["supervisor"])[1]["detail"]
    assert call(guarded, "POST", "/v1/safety/declare", {"reason": "r"}, tokens["supervisor"])[0] == 200
    actors = {(r["action"], r["actor"]) for r in call(guarded, "GET", "/v1/audit?limit=1000", token=tokens["admin"])[1]["items"]}
    assert {("switch.positioned", "ope"), ("switch.positioned", "mac"), ("plan.kept", "ope"), ("plan.validated", "eng")} <= actors


def test_an_operator_answers_for_the_own_desks_only(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    desks = ["advisories.desks=north: F01 F02; south: F03 F04", "advisories.shelf_h=0.5"]
    service = Service(folder, settings=desks)
    try:
        def access(*words, expect=0):
            return run("access", *words, "--data-dir", folder / "state", "--set", desks[0], expect=expect)
        advisory = {feeder: reverse(service, feeder)["id"] for feeder in ("F02", "F03", "F09")}
        (folder / "password").write_text(PASSWORD + "\n")
        assert "of north" in access("add-user", "ben", "--role", "operator", "--desks", "north", "--password-file", folder / "password").stdout
        assert "expected of north, south" in access("add-user", "x", "--role", "operator", "--desks", "west", expect=2).stderr
        assert "only an operator" in access("add-user", "x", "--role", "viewer", "--desks", "north", expect=2).stderr
        access("add-user", "sue", "--role", "supervisor", "--password-file", folder / "password")
        ben, sue = (access("add-token", name).stdout.strip() for name in ("ben", "sue"))
        wait_for(lambda: call(service, "GET", "/v1/feeders")[0] == 401, what="the accounts to be known")
        assert call(service, "GET", "/v1/session", token=ben)[1]["desks"] == ["north"]
        room = call(service, "GET", "/v1/control-room", token=ben)[1]
        assert room["desks"] == [{"name": "north", "feeders": ["F01", "F02"]}, {"name": "south", "feeders": ["F03", "F04"]}] and room["shelf_s"] == 1800

        def act(feeder, name, token, **body):
            return call(service, "POST", f"/v1/advisories/{advisory[feeder]}/{name}", body, token)
        # Another desk's is refused and recorded; what no desk names is everybody's; comments are free.
        for name, body in (("acknowledge", {}), ("shelve", {"reason": "r", "for_s": 60}), ("unshelve", {}), ("reset", {})):
            status, problem, _ = act("F03", name, ben, **body)
            assert status == 409 and "another desk's" in problem["detail"], problem
        assert act("F03", "comment", ben, reason="seen")[0] == 200
        assert [act(feeder, "acknowledge", ben)[0] for feeder in ("F02", "F09")] == [200, 200]
        assert act("F03", "acknowledge", sue)[0] == 200
        # The limit of a shelf is a setting.
        assert "30 min at most" in act("F02", "shelve", ben, reason="r", for_s=1801)[1]["detail"]
        assert act("F02", "shelve", ben, reason="r", for_s=1800)[0] == 200
        refused = call(service, "GET", f"/v1/audit?subject={advisory['F03']}", token=sue)[1]["items"]
        assert ("ben", "advisory.acknowledge.refused") in {(r["actor"], r["action"]) for r in refused}
        # Moved to another desk: from the next request on.
        assert "answers for south" in access("set-desks", "ben", "--desks", "south").stdout
        assert act("F02", "unshelve", ben)[0] == 409
        assert "south" in next(line for line in access("list").stdout.splitlines() if line.startswith("ben"))
        access("set-desks", "sue", "--desks", "south", expect=1)
        # A desk that is not set up any more covers nothing, and the doctor says whom that leaves without.
        assert "operator ben answers for desk south" in run("doctor", "--data-dir", folder / "state", expect=1).stdout
    finally:
        service.stop()


def test_the_console_begins_with_the_own_desk_and_counts_the_others(folder, browser):  # noqa: F811
    run("network", "import", DATA, "--data-dir", folder / "state")
    desks = "advisories.desks=north: F01 F02; south: F03 F04"
    service = Service(folder, settings=[desks, "site.time_zone=Asia/Kolkata"])
    try:
        advisory = {feeder: reverse(service, feeder)["id"] for feeder in ("F02", "F03")}
        (folder / "password").write_text(PASSWORD + "\n")
        run("access", "add-user", "ben", "--role", "operator", "--desks", "north", "--password-file", folder / "password", "--data-dir", folder / "state", "--set", desks)
        wait_for(lambda: call(service, "GET", "/v1/feeders")[0] == 401, what="the account to be known")
        page = open_page(browser, service)
        page.get_by_label("User").fill("ben")
        page.get_by_label("Password").fill(PASSWORD)
        page.keyboard.press("Enter")
        rows = page.locator("#advisories tbody tr")
        expect(page.locator("#account")).to_contain_text("ben, operator of north", timeout=20_000)
        expect(rows).to_have_count(1, timeout=20_000)
        assert rows.first.get_attribute("data-advisory") == advisory["F02"]
        expect(page.locator("#feeders-title")).to_have_text("Feeders of desk north (9 of 11)")
        expect(page.locator("#elsewhere")).to_contain_text("not acknowledged: 1")
        # UTC, and the clock on the wall: half an hour and five hours apart.
        expect(page.locator("#clock")).to_contain_text("Asia/Kolkata")
        utc, minutes = re.search(r"(\d\d):(\d\d):\d\d UTC, \d\d:(\d\d):\d\d Asia/Kolkata", page.locator("#clock").inner_text()).group(2, 3)
        assert (int(minutes) - int(utc)) % 60 == 30
        OUTPUT.mkdir(exist_ok=True)
        page.screenshot(path=OUTPUT / "console-desk-light.png")
        assert Axe().run(page).violations_count == 0
        page.locator("#desk").select_option("all")
        expect(rows).to_have_count(2)
        expect(page.locator("#elsewhere")).to_be_hidden()
        # What is another desk's is refused there, and the page says why.
        page.locator(f'button[data-advisory="{advisory["F03"]}"]').click()
        expect(page.locator("#refusal")).to_contain_text("another desk's")
        page.reload()
        expect(rows).to_have_count(2, timeout=20_000)
        # The refusals of the log-in and of the act are what the browser reports itself.
        assert [text for text in page.problems if "401" not in text and "409" not in text] == []
    finally:
        service.stop()


def log_in(service, user="ope", password=PASSWORD, **headers):
    return call(service, "POST", "/v1/session", {"user": user, "password": password}, **headers)


def cookie(answer):
    assert answer[0] == 200, answer
    return answer[2]["Set-Cookie"].split(";")[0]


def test_a_stream_of_events_ends_with_the_right_to_read_it(guarded, service):
    address = urllib.parse.urlsplit(service.http)

    def stream(**headers):
        connection = http.client.HTTPConnection(address.hostname, address.port, timeout=10)
        connection.request("GET", "/v1/events", headers=headers)
        answer = connection.getresponse()
        assert answer.status == 200 and answer.readline()
        return answer

    def ends(answer):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            if not answer.readline():
                return True
        return False

    token = {"Authorization": f"Bearer {guarded.tokens['viewer']}"}
    _, _, headers = call(service, "POST", "/v1/session", {"user": "ope", "password": PASSWORD})
    cookie = headers["Set-Cookie"].split(";")[0]
    viewer, operator, machine = stream(**token), stream(Cookie=cookie), stream(Authorization=f"Bearer {guarded.tokens['machine']}")
    # Idle for long, but the stream is watched: the session lives, and is noted as used.
    service.sql("UPDATE backfeed_store.console_session SET seen_at = now() - interval '20 minutes'")
    wait_for(lambda: service.sql("SELECT seen_at > now() - interval '1 minute' FROM backfeed_store.console_session") == "t", what="the session in use")
    guarded.access("revoke", "vie")
    assert ends(viewer)
    call(service, "DELETE", "/v1/session", Cookie=cookie, X_Requested_With="test")
    assert ends(operator)
    # Others read on.
    assert not ends(machine)


def behind_proxy(service):
    """What it says of the client is believed."""
    service.stop()
    service.command += ["--set", "http.proxies=127.0.0.1"]
    service.start()


def test_a_session_is_ours_alone_and_ends(guarded):
    behind_proxy(guarded)
    first = log_in(guarded)
    assert first[0] == 200 and "HttpOnly" in first[2]["Set-Cookie"] and "SameSite=Strict" in first[2]["Set-Cookie"]
    secure = log_in(guarded, X_Forwarded_Proto="https")[2]["Set-Cookie"]
    assert secure.startswith("__Host-backfeed=") and "; Secure" in secure and "Path=/" in secure and "Domain" not in secure
    mine = cookie(first)
    assert call(guarded, "GET", "/v1/session", Cookie=mine)[1] == {"accounts": True, "user": "ope", "role": "operator", "desks": []}
    # Fixation: what a browser brings along is never taken over, and ends with the login.
    planted = "backfeed=planted-by-somebody"
    taken = log_in(guarded, Cookie=planted)
    assert cookie(taken) != planted and call(guarded, "GET", "/v1/feeders", Cookie=planted)[0] == 401
    again = cookie(log_in(guarded, Cookie=mine))
    assert again != mine and call(guarded, "GET", "/v1/feeders", Cookie=mine)[0] == 401
    assert call(guarded, "GET", "/v1/feeders", Cookie=f"{again}; backfeed=other")[0] == 401
    # Another site: no header of ours, or an origin that is not ours.
    switch, body = "/v1/network/switches/MV2.101_Switch_178", {"position": "closed"}
    assert "X-Requested-With" in call(guarded, "PUT", switch, body, Cookie=again)[1]["detail"]
    assert call(guarded, "PUT", switch, body, Cookie=again, X_Requested_With="console", Origin="https://evil.example")[0] == 403
    assert call(guarded, "PUT", switch, body, Cookie=again, X_Requested_With="console", Sec_Fetch_Site="cross-site")[0] == 403
    assert call(guarded, "POST", "/v1/session", {"user": "ope", "password": PASSWORD}, Origin="https://evil.example")[0] == 403
    assert call(guarded, "PUT", switch, body, Cookie=again, X_Requested_With="console")[0] == 200
    # Idle, too old, logged out, another password, revoked.
    for change in ("seen_at = now() - interval '31 minutes'", "opened_at = now() - interval '13 hours'"):
        guarded.sql(f"UPDATE backfeed_store.console_session SET {change}")
        assert call(guarded, "GET", "/v1/feeders", Cookie=again)[0] == 401
        again = cookie(log_in(guarded))
    assert "Max-Age=0" in call(guarded, "DELETE", "/v1/session", Cookie=again, X_Requested_With="console")[2]["Set-Cookie"]
    assert call(guarded, "GET", "/v1/feeders", Cookie=again)[0] == 401
    again = cookie(log_in(guarded))
    made = guarded.access("set-password", "ope").stdout.rsplit(" ", 1)[1].strip()
    assert call(guarded, "GET", "/v1/feeders", Cookie=again)[0] == 401 and log_in(guarded)[0] == 401
    again = cookie(log_in(guarded, password=made))
    guarded.access("revoke", "ope")
    assert call(guarded, "GET", "/v1/feeders", Cookie=again)[0] == 401 and log_in(guarded, password=made)[0] == 401


def test_an_outage_of_the_database_does_not_blind_whoever_watches(guarded):
    token = guarded.tokens["machine"]
    assert call(guarded, "GET", "/metrics", token=token)[0] == 200
    frozen = freeze([postmaster(guarded)])
    frozen += freeze(map(int, subprocess.run(["pgrep", "-P", str(frozen[0])], capture_output=True, text=True).stdout.split()))
    try:
        assert call(guarded, "GET", "/metrics", token=token)[0] == 200
        # Nobody becomes known meanwhile.
        assert call(guarded, "GET", "/metrics", token="der_unknown")[0] == 503
        assert call(guarded, "GET", "/metrics")[0] == 401
    finally:
        thaw(frozen)
    wait_for(lambda: call(guarded, "GET", "/v1/feeders", token=token)[0] == 200, what="the database to be back")


def test_guessing_is_slow(guarded):
    behind_proxy(guarded)
    # A name that is not there is not told from one that is, and a machine has no password.
    for user, password in (("ope", "wrong"), ("nobody", PASSWORD), ("mac", PASSWORD), ("ope' OR 1=1", "x"), ("ope", "x" * 3000)):
        answer = log_in(guarded, user, password, X_Real_IP="203.0.113.7")
        assert answer[0] == 401 and answer[1]["detail"] == "wrong name or password"
    for _ in range(3):
        assert log_in(guarded, "ope", "wrong", X_Real_IP="203.0.113.7")[0] == 401
    limited = log_in(guarded, "ope", PASSWORD, X_Real_IP="203.0.113.7")
    assert limited[0] == 429 and "try again in" in limited[1]["detail"]
    # Others are not shut out with the one who guesses.
    assert log_in(guarded, "ope", PASSWORD, X_Real_IP="203.0.113.8")[0] == 200
    assert log_in(guarded, "sup", PASSWORD, X_Real_IP="203.0.113.7")[0] == 200
    assert "access.login.refused" in guarded.sql("SELECT action FROM backfeed.audit")


def test_the_console_asks_who_it_is(guarded, browser):  # noqa: F811
    page = open_page(browser, guarded)
    page.wait_for_url(re.compile("login.html"))
    page.problems.clear()
    page.get_by_label("User").fill("ope")
    page.get_by_label("Password").fill("not the password")
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("alert")).to_have_text("wrong name or password")
    page.screenshot(path=OUTPUT / "login.png")
    assert Axe().run(page).violations_count == 0
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.locator("#feeders tbody tr")).to_have_count(11, timeout=20_000)
    expect(page.locator("#account")).to_contain_text("ope, operator")
    # The account's name needs no asking.
    expect(page.locator("#actor")).to_be_hidden()
    expect(page.locator("#actor")).to_have_value("ope")
    expect(page.locator("#lost")).to_be_hidden()
    page.screenshot(path=OUTPUT / "console-account.png")
    assert Axe().run(page).violations_count == 0
    # No script reads the session, and it is nowhere but in the cookie.
    assert page.evaluate("document.cookie") == "" and PASSWORD not in json.dumps(page.evaluate("({...sessionStorage, ...localStorage})"))
    page.goto(guarded.http + "/switching.html")
    expect(page.locator("#account")).to_contain_text("ope, operator")
    page.problems = [text for text in page.problems if "401" not in text]
    assert page.problems == []
    page.get_by_role("button", name="Log out").click()
    page.wait_for_url(re.compile("login.html"))
    page.goto(guarded.http + "/")
    page.wait_for_url(re.compile("login.html"))
    time.sleep(0.2)
