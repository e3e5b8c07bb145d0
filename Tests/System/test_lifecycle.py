"""What people do with advisories, through API, commands and console; and what time and the tree of causes do."""
import json
import re
import time

from conftest import DATA, OUTPUT, Publisher, Service, rfc3339, run, wait_for
from playwright.sync_api import expect
from test_console import browser, open_page  # noqa: F401: a fixture
from test_service import batches, heads


def reverse(service, feeder="F02", watts=-900_000):
    """A head that feeds back now, and goes on: its advisory."""
    start = int(time.time() // 60) * 60 - 900
    publisher = Publisher(service, "UTIL-SCADA")
    for part in batches(heads(feeder, start, [watts] * 170)):
        publisher.samples(*part)
    return wait_for(lambda: next(iter(service.get(f"/v1/advisories?feeder={feeder}&kind=reverse_power&state=active")["items"]), None), what="an advisory")


def act(service, advisory, name, expect=200, **body):
    status, answer = service.send("POST", f"/v1/advisories/{advisory['id']}/{name}", body)
    assert status == expect, answer
    return answer


def test_what_is_shelved_is_silent_and_counts(service, folder):
    advisory = reverse(service)
    assert "needs a reason" in act(service, advisory, "shelve", 409, for_s=600, actor="ann")["detail"]
    assert "for_s" in act(service, advisory, "shelve", 400, reason="r", actor="ann")["detail"]
    assert "8 h at most" in act(service, advisory, "shelve", 409, for_s=9 * 3600, reason="r", actor="ann")["detail"]
    shelved = act(service, advisory, "shelve", for_s=10, reason="tests at the head", actor="ann")
    assert shelved["state"] == "shelved" and shelved["is_active"] and shelved["held"]["by"] == "ann"
    assert "does not apply" in act(service, advisory, "acknowledge", 409, actor="ann")["detail"]
    # It is among the active ones, for everybody who asks.
    assert [a["id"] for a in service.get("/v1/advisories?state=active&feeder=F02")["items"]] == [advisory["id"]]
    assert service.get("/v1/feeders/F02")["active_advisories"]
    # It ends by itself, and is annunciated again.
    back = wait_for(lambda: (a := service.get(f"/v1/advisories/{advisory['id']}"))["state"] == "unacknowledged_active" and a, what="the shelf to end")
    assert back["held"] is None
    assert [(h["type"], h["actor"]) for h in back["history"]][-2:] == [("shelved", "ann"), ("unshelved", "service")]
    # Once raised, and once again when its shelf had ended: what the desk was asked to look at.
    rates = service.get("/v1/advisory-rates")["items"]
    assert [(r["desk"], r["rates"]["new_10_min"], r["rates"]["level"], r["standing"]["3"]) for r in rates] == [("all", 2, "manageable", 1)]
    assert rates[0]["rates"]["top_sources"][0]["element"] == "FH-F02"
    wait_for(lambda: service.metric("backfeed_desk_new_advisories", desk="all") == 2, what="the metric")
    # The same by command, with the same rules.
    out = run("shelve", advisory["id"], "--for", "2h", "--reason", "cable test", "--actor", "bob", "--data-dir", folder / "state")
    assert out.stdout.strip() == f"{advisory['id']} is shelved"
    assert run("shelve", advisory["id"], "--for", "soon", "--reason", "x", "--data-dir", folder / "state", expect=2).returncode == 2
    assert "does not apply" in run("reset", advisory["id"], "--data-dir", folder / "state", expect=1).stderr
    run("unshelve", advisory["id"], "--actor", "bob", "--data-dir", folder / "state")
    run("comment", advisory["id"], "--reason", "asked the crew", "--actor", "bob", "--data-dir", folder / "state")
    history = service.get(f"/v1/advisories/{advisory['id']}")["history"]
    assert history[-1]["note"] == "asked the crew"
    # Out of service takes two people.
    act(service, advisory, "out_of_service", for_s=3600, reason="meter is exchanged", actor="eve")
    assert act(service, advisory, "out_of_service", for_s=3600, reason="meter is exchanged", actor="eve")["state"] == "unacknowledged_active"
    assert act(service, advisory, "out_of_service", for_s=3600, reason="agreed", actor="sue")["state"] == "out_of_service"
    assert act(service, advisory, "return_to_service", actor="eve")["state"] == "unacknowledged_active"
    actions = [r["action"] for r in service.get(f"/v1/audit?subject={advisory['id']}")["items"]]
    assert {"advisory.shelve", "advisory.shelve.refused", "advisory.out_of_service_proposed", "advisory.out_of_service"} <= set(actions)


def test_the_console_shelves_comments_and_rings(service, browser):  # noqa: F811
    page = open_page(browser, service)
    page.get_by_label("sound for 1 and 2").check()
    page.get_by_label("Your name").fill("ann")
    advisory = reverse(service)
    row = page.locator(f'tr[data-advisory="{advisory["id"]}"]')
    expect(row).to_be_visible(timeout=10_000)
    row.get_by_label(re.compile("^More")).select_option("comment")
    page.get_by_role("textbox", name="Comment").fill("asked the crew")
    page.locator("#dialog-yes").click()
    wait_for(lambda: service.get(f"/v1/advisories/{advisory['id']}")["history"][-1]["note"] == "asked the crew", what="the comment")
    row.get_by_label(re.compile("^More")).select_option("shelve")
    page.get_by_role("textbox", name="Reason").fill("tests at the head")
    page.screenshot(path=OUTPUT / "console-shelve.png")
    page.locator("#dialog-yes").click()
    # Out of the list, still counted, and to be found.
    expect(row).to_have_count(0, timeout=5_000)
    expect(page.locator("#counts")).to_contain_text("silenced: 1")
    page.get_by_label("shelved, out of service (1)").check()
    expect(row).to_contain_text("by ann: tests at the head")
    page.screenshot(path=OUTPUT / "console-shelved.png")
    row.get_by_role("button", name=re.compile("^Unshelve")).click()
    expect(row).to_contain_text("active, not acknowledged", timeout=5_000)
    # One of severity 2 is heard, once; and by a page that comes later, too.
    rung = page.evaluate("document.body.dataset.rung ?? '0'")
    assert rung == "0"
    urgent = reverse(service, "F05", -9_000_000)
    assert urgent["severity"] <= 2, urgent
    wait_for(lambda: page.evaluate("document.body.dataset.rung ?? '0'") == "1", what="the sound")
    later = open_page(browser, service)
    expect(later.locator(f'tr[data-advisory="{urgent["id"]}"]')).to_be_visible(timeout=10_000)
    later.get_by_label("sound for 1 and 2").check()
    wait_for(lambda: later.evaluate("document.body.dataset.rung ?? '0'") == "1", what="the sound of what came before")
    assert page.problems == [] and later.problems == []


def test_a_silent_fleet_is_one_advisory(service, browser):  # noqa: F811
    """DER that fall silent together: each has its advisory, and all are part of the fleet's."""
    start = int(time.time() // 60) * 60 - 3600
    devices = [d["id"] for d in service.get("/v1/devices?feeder=F02&limit=1000")["items"] if not d["id"].startswith(("FH-", "VM-"))]
    aggregator, scada = Publisher(service, "AGG-SOLAR"), Publisher(service, "UTIL-SCADA")
    for minute in (0, 5):
        for part in batches([{"device": device, "time": rfc3339(start + 60 * minute), "active_power_w": 1000} for device in devices]):
            aggregator.samples(*part)
    for part in batches(heads("F02", start, [2_000_000] * 660)):
        scada.samples(*part)
    fleet = wait_for(lambda: next((a for a in service.get("/v1/advisories?feeder=F02&kind=data_gap&state=active&limit=1000")["items"] if a["element"] == "F02/fleet"), None), what="the fleet's advisory")
    children = wait_for(lambda: (c := service.get(f"/v1/advisories/{fleet['id']}")["children"]) and len(c) > 10 and c, what="its parts")
    child = service.get(f"/v1/advisories/{children[0]}")
    assert child["state"] == "suppressed" and child["is_active"] and child["parent"] == fleet["id"]
    assert "does not apply" in act(service, child, "acknowledge", 409, actor="ann")["detail"]
    # No part of it asks for attention beside it.
    wait_for(lambda: service.sql("SELECT count(*) FROM backfeed.advisory WHERE kind = 'data_gap' AND element NOT LIKE '%/fleet' AND element NOT LIKE 'FH-%' AND state = 'unacknowledged_active'") == "0", what="silence")
    page = open_page(browser, service)
    row = page.locator(f'tr[data-advisory="{fleet["id"]}"]')
    expect(row).to_be_visible(timeout=10_000)
    expect(page.locator(f'tr[data-advisory="{child["id"]}"]')).to_have_count(0)
    row.get_by_text(re.compile(r"^and \d+ that are part of it")).click()
    expect(row.locator("details li")).to_have_count(len(service.get(f"/v1/advisories/{fleet['id']}")["children"]))
    page.screenshot(path=OUTPUT / "console-parts.png")
    assert page.problems == []


def test_no_view_says_none_while_something_serious_is_part_of_the_banks(folder, browser):  # noqa: F811
    """All feeders feed back, one beyond its limit: the bank's advisory stands for them all, and that one shows and calls all the same."""
    run("network", "import", DATA, "--data-dir", folder / "state")
    service = Service(folder, settings=("bank.has_3v0=true", "reverse.permitted=true"))
    try:
        page, map = open_page(browser, service), open_page(browser, service, path="/network.html")
        page.get_by_label("sound for 1 and 2").check()
        scada, start = Publisher(service, "UTIL-SCADA"), int(time.time() // 60) * 60 - 900
        limits = {feeder["id"]: feeder["reverse_limit_w"] for feeder in service.get("/v1/feeders")["items"]}
        watts = {feeder: -(1.1 if feeder == "F05" else 0.3) * limit for feeder, limit in limits.items()}
        # All of them go on together: a bank does not wait for ever for one that lags.
        for part in batches(sorted((sample for feeder in limits for sample in heads(feeder, start, [watts[feeder]] * 175)), key=lambda sample: sample["time"])):
            scada.samples(*part)
        bank = wait_for(lambda: next(iter(service.get("/v1/advisories?kind=reverse_power_bank&state=active")["items"]), None), what="the bank's advisory")
        own = wait_for(lambda: next((a for a in service.get("/v1/advisories?feeder=F05&kind=reverse_power&state=active")["items"] if a["parent"] == bank["id"]), None), what="the feeder as a part of it")
        assert own["severity"] == 2 and own["state"] == "unacknowledged_active"
        mild = service.get("/v1/advisories?feeder=F02&kind=reverse_power&state=active")["items"][0]
        assert mild["parent"] == bank["id"] and mild["state"] == "suppressed" and mild["severity"] > 2
        # The API.
        seen, other = service.get("/v1/feeders/F05"), service.get("/v1/feeders/F02")
        assert seen["worst_severity"] == 2 and seen["active_advisories"]["2"] >= 1
        assert "worst_severity" not in other and other["active_parts"] and not other["active_advisories"]
        assert service.get(f"/v1/advisories/{bank['id']}")["severity"] == 2
        # One cause, called once at each place.
        asked = service.sql("SELECT string_agg(DISTINCT feeder, ' ') FROM backfeed.advisory_annunciation WHERE kind LIKE 'reverse_power%' AND severity <= 2")
        assert "F05" in asked.split() and len(asked.split()) <= 2, asked
        # The overview: row, filter, chosen feeder, sound.
        row = page.locator('tr[data-feeder="F05"]')
        expect(row).to_contain_text("▲2×1")
        expect(page.locator('tr[data-feeder="F02"]')).to_contain_text("(○4×1)")
        page.locator("#filter").fill("F05")
        expect(page.locator(f'tr[data-advisory="{own["id"]}"]')).to_contain_text("Part of: Bank")
        page.locator("#filter").fill("")
        row.click()
        page.get_by_label("chosen feeder only").check()
        expect(page.locator(f'tr[data-advisory="{own["id"]}"]')).to_be_visible()
        wait_for(lambda: page.evaluate("Number(document.body.dataset.rung ?? 0)") >= 1, what="the sound")
        page.screenshot(path=OUTPUT / "console-part-of-bank.png", full_page=True)
        # A milder part stands for itself where its bank is not shown; and none is said only where there is none.
        page.locator('button[data-feeder="F02"]').click()
        page.get_by_label("notes (severity 4)").check()
        expect(page.locator(f'tr[data-advisory="{mild["id"]}"]')).to_be_visible()
        page.locator("#filter").fill("nonsense")
        expect(page.locator("#none")).to_contain_text(re.compile(r"None of the \d+ open advisories is shown with these filters; ▲ \d+ of them"))
        # The map.
        expect(map.locator("#calls")).to_contain_text("F05 Feeder F05 feeds", timeout=15_000)
        expect(map.locator("#picture-note")).to_contain_text("of severity 1 or 2 active")
        expect(map.locator("#picture g.call text", has_text="F05")).to_have_count(1)
        map.screenshot(path=OUTPUT / "network-part-of-bank.png")
        assert page.problems == [] and map.problems == []
        # Who hands over the shift has it, too.
        shift = open_page(browser, service, path="/shift.html")
        expect(shift.locator("#standing")).to_contain_text("Feeder F05", timeout=10_000)
        # Commands say the same, with numbers of a time.
        listed = run("advisories", "--active", "--feeder", "F05", "--data-dir", folder / "state").stdout
        assert "part of" not in listed.splitlines()[0] and own["id"] in listed and "unacknowledged_active" in listed
        assert re.search(r" As of (\d\d-\d\d )?\d\d:\d\d UTC\.$", own["message"])
    finally:
        service.stop()


def test_any_time_can_be_run_again_with_other_settings(service, folder):
    """With the settings that were in force nothing is otherwise, byte by byte; with others it is said what would be."""
    start = int(time.time() // 60) * 60 - 7200
    publisher = Publisher(service, "UTIL-SCADA")
    for feeder, watts in (("F02", -900_000), ("F05", -200_000)):
        for part in batches(heads(feeder, start, [300_000] * 60 + [watts] * 120 + [300_000] * 240)):
            publisher.samples(*part)
    cleared = wait_for(lambda: [a for a in service.get("/v1/advisories?kind=reverse_power")["items"] if a["cleared_at"]][1:], what="both to be over")
    act(service, cleared[0], "acknowledge", actor="ann")
    wait_for(lambda: service.sql("SELECT count(*) FROM backfeed_store.sample WHERE time < now() - interval '1 minute'") == "840", what="all to be stored")

    def again(*settings):
        words = [word for setting in settings for word in ("--set", setting)]
        out = run("backtest", "--format", "json", "--data-dir", folder / "state", *words, "--from", rfc3339(start - 60), "--until", rfc3339(start + 2100))
        return json.loads(out.stdout)

    same = again()
    assert same["samples"] == 840 and same["result"]["differences"] == [] and same["result"]["said_otherwise"] == []
    assert same["result"]["as_before"] == same["result"]["identical"] >= 2
    assert same["rates"]["new_24_h"] == same["rates_before"]["new_24_h"] >= 2
    events = service.sql("SELECT count(*) FROM backfeed_store.advisory_event")
    less = again("reverse.on_min_w=500000")["result"]
    assert [(d["change"], d["element"]) for d in less["differences"] if d["kind"] == "reverse_power"] == [("gone", "FH-F05")]
    moved = again("reverse.on_s=300")["result"]["differences"]
    assert {(d["change"], d["element"]) for d in moved if d["kind"] == "reverse_power"} == {("moved", "FH-F02"), ("moved", "FH-F05")}
    assert any("raised_at: " in text for text in moved[0]["moved"])
    # Twice is the same, but for how long it took; and nothing was written.
    twice = [again("reverse.on_s=300") for _ in range(2)]
    for result in twice:
        del result["times_real_time"]
    assert twice[0] == twice[1]
    assert service.sql("SELECT count(*) FROM backfeed_store.advisory_event") == events
    table = run("backtest", "--data-dir", folder / "state", "--set", "reverse.on_min_w=500000", "--from", rfc3339(start - 60)).stdout
    assert "gone" in table and "times real time" in table
    assert "--from must be before" in run("backtest", "--data-dir", folder / "state", "--from", rfc3339(start), "--until", rfc3339(start - 1), expect=2).stderr
