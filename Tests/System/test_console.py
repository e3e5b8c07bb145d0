"""The console in a real browser, on the recorded day: what an operator sees and does."""
import re
import signal
import time

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import OUTPUT, ROOT, recorded_day, wait_for
from playwright.sync_api import TimeoutError, expect, sync_playwright


@pytest.fixture(scope="module")
def demo():
    # From the early morning, fast: within half a minute the sun turns the feeders.
    with recorded_day("05:00") as service:
        yield service


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        yield browser
        browser.close()


def open_page(browser, service, scheme="light", path="/"):
    context = browser.new_context(viewport={"width": 1280, "height": 720}, color_scheme=scheme)
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    # Nothing outside this machine is asked for.
    page.on("request", lambda request: page.problems.append(request.url) if not request.url.startswith((service.http, "data:")) else None)
    page.goto(service.http + path)
    return page


def test_live_data_an_advisory_appears_and_is_acknowledged(demo, browser):
    page = open_page(browser, demo)
    rows = page.locator("#feeders tbody tr")
    expect(rows).to_have_count(11, timeout=20_000)
    power = page.locator('tr[data-feeder="F10"] td.power')
    expect(power).to_have_text(re.compile(r"^-[\d.]+ MW$"), timeout=20_000)
    first = power.inner_text()
    wait_for(lambda: power.inner_text() != first, 30, what="live values")
    expect(page.locator('tr[data-feeder="F10"] td.direction')).to_have_text("← REV")
    page.get_by_label("notes (severity 4)").check()
    # A feeder that imports in the morning turns, and its advisory comes by itself.
    before = {row.get_attribute("data-advisory") for row in page.locator("#advisories tbody tr").all()}
    wait_for(lambda: {row.get_attribute("data-advisory") for row in page.locator("#advisories tbody tr").all()} - before, 60, what="a new advisory")
    page.get_by_label("Your name").fill("ann")

    def acknowledged():
        # The day is fast: what stood alone a moment ago may be a part of another by now, or over. Then it is the next one's turn.
        row = page.locator("#advisories tbody tr", has_text="feeds").filter(has_text="Acknowledge").first
        identity = row.get_attribute("data-advisory", timeout=10_000)
        try:
            page.locator(f'button[data-advisory="{identity}"]').click(timeout=2_000)
            expect(page.locator(f'tr[data-advisory="{identity}"]')).to_contain_text("by ann", timeout=3_000)
        except (AssertionError, TimeoutError):
            return None
        return demo.get(f"/v1/advisories/{identity}")["acknowledged_by"] == "ann"
    wait_for(acknowledged, 40, what="an acknowledgement")
    # The chart follows the chosen feeder.
    page.locator('button[data-feeder="F02"]').click()
    expect(page.locator("#chart-title")).to_have_text("Power at the head of F02")
    expect(page.locator("#chart canvas")).to_be_visible()
    wait_for(lambda: "REV" in page.locator('tr[data-feeder="F02"] td.direction').inner_text(), 90, what="F02 to turn")
    # What is expected of it stands beside what is measured, with its spread.
    page.reload()
    page.locator('button[data-feeder="F02"]').click()
    expect(page.locator("#chart-note")).to_contain_text(re.compile(r"Dotted: expected, -?[\d.]+ [kM]W by \d\d:\d\d, with 90 % between"), timeout=20_000)
    page.evaluate("scrollTo(0, 0)")
    time.sleep(8)
    OUTPUT.mkdir(exist_ok=True)
    page.screenshot(path=OUTPUT / "console-light.png")
    assert page.problems == []
    assert Axe().run(page).violations_count == 0
    dark = open_page(browser, demo, "dark")
    expect(dark.locator("#feeders tbody tr")).to_have_count(11, timeout=20_000)
    dark.locator('button[data-feeder="F09"]').click()
    time.sleep(2)
    dark.screenshot(path=OUTPUT / "console-dark.png")
    assert Axe().run(dark).violations_count == 0
    assert dark.problems == []


def test_the_chart_keeps_its_history_however_late_it_comes(demo, browser):
    """Live points come while the history is still asked for: they follow it, and do not take its place."""
    wait_for(lambda: len(demo.get("/v1/feeders/F02/profile?bucket=1m&quantity=net_w")["items"]) > 5, what="stored minutes")
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page, held = context.new_page(), []
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.route("**/v1/feeders/*/profile?*", lambda route: held.append(route))
    page.goto(demo.http + "/?feeder=F02")
    chart = page.locator("#chart")
    # Live points are there, and are kept.
    wait_for(lambda: page.wait_for_timeout(50) or held, what="the question for the history")
    row = page.locator('tr[data-feeder="F02"] td').nth(5)
    first = row.inner_text()
    wait_for(lambda: page.wait_for_timeout(50) or row.inner_text() != first, what="live values")
    held.pop().continue_()
    stored = demo.get("/v1/feeders/F02/profile?bucket=1m&quantity=net_w")["items"][0]["time"]
    expect(chart).to_have_attribute("data-from", re.compile(f"^{stored[:15]}"))
    assert int(chart.get_attribute("data-points")) > 5
    assert page.problems == []


def test_keyboard_reaches_everything(demo, browser):
    page = open_page(browser, demo)
    expect(page.locator("#feeders tbody tr")).to_have_count(11, timeout=20_000)
    # Past the five pages of the navigation, the search, the order and the first feeder.
    for _ in range(7):
        page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.id") == "by-name"
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.dataset.feeder") == "F02"
    page.keyboard.press("Enter")
    expect(page.locator("#chart-title")).to_have_text("Power at the head of F02")
    time.sleep(2.5)
    # A refresh of the table does not throw the focus away.
    assert page.evaluate("document.activeElement.dataset.feeder") == "F02"


def test_the_list_is_worked_by_keys_and_filtered(demo, browser):
    page = open_page(browser, demo)
    rows = page.locator("#advisories tbody tr")
    wait_for(lambda: rows.count() >= 2, 60, what="two advisories")
    page.keyboard.press("/")
    page.keyboard.type("reverse F10")
    # Alone, or as a part of its bank's.
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("F10")
    page.keyboard.type(" nonsense")
    expect(rows).to_have_count(0)
    page.get_by_label("Filter").fill("")
    wait_for(lambda: rows.count() >= 2, what="all again")
    page.locator("h2").first.click()
    page.keyboard.press("ArrowDown")
    first = page.evaluate("document.activeElement.closest('tr').dataset.advisory")
    page.keyboard.press("ArrowDown")
    second = page.evaluate("document.activeElement.closest('tr').dataset.advisory")
    assert first and second and first != second
    page.keyboard.press("c")
    page.get_by_role("textbox", name="Comment").fill("seen by night")
    page.keyboard.press("Enter")
    wait_for(lambda: any(h["note"] == "seen by night" for h in demo.get(f"/v1/advisories/{second}")["history"]), what="the comment")
    page.keyboard.press("?")
    expect(page.locator("#keys")).to_have_attribute("open", "")
    assert page.problems == []


def test_the_page_of_an_advisory_shows_its_evidence_and_history(demo, browser):
    found = wait_for(lambda: next((a for a in demo.get("/v1/advisories?kind=reverse_power&state=active")["items"] if a["detector"] == "RPF_HEAD" and a["contributors"]), None), 60, what="reverse power")
    for scheme in ("light", "dark"):
        page = open_page(browser, demo, scheme, f"/advisory.html?id={found['id']}")
        expect(page.locator("#title")).to_contain_text(f"Feeder {found['feeder']}", timeout=10_000)
        expect(page.locator("#evidence canvas")).to_be_visible()
        expect(page.locator("#contributors tbody tr")).not_to_have_count(0)
        expect(page.locator("#history tbody tr").first).to_contain_text("raised")
        expect(page.locator("#facts")).to_contain_text("reverse.limit_w" if found["limit"]["source"].startswith("setting") else "rating")
        if scheme == "light":
            page.get_by_label("Your name").fill("ann")
            page.get_by_role("button", name="Comment…").click()
            page.get_by_role("textbox", name="Comment").fill("looked at the evidence")
            page.locator("#dialog-yes").click()
            expect(page.locator("#history")).to_contain_text("looked at the evidence", timeout=10_000)
        time.sleep(1)
        page.screenshot(path=OUTPUT / f"advisory-{scheme}.png", full_page=True)
        assert Axe().run(page).violations_count == 0
        assert page.problems == []
    missing = open_page(browser, demo, path="/advisory.html?id=nothing")
    expect(missing.locator("#title")).to_contain_text("Not shown", timeout=10_000)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_feeders_past_is_drawn_and_says_what_stands_behind_it(demo, browser, scheme):
    wait_for(lambda: len(demo.get("/v1/feeders/F10/profile?bucket=15m")["items"]) > 12, 120, what="quarter hours")
    page = open_page(browser, demo, scheme)
    page.locator('button[data-feeder="F10"]').click()
    page.get_by_role("link", name="Its past").click()
    expect(page.get_by_label("Feeder")).to_have_value("F10")
    for chart in ("#profile-chart", "#shape-chart"):
        expect(page.locator(f"{chart} canvas")).to_be_visible(timeout=10_000)
    # What it says is what the service says of the same range.
    asked = "&".join(f"{name}={page.locator(f'#{name}').input_value().replace(' ', 'T')}:00Z" for name in ("from", "until"))
    said = demo.get(f"/v1/feeders/F10/statistics?{asked}")
    row = page.locator("#figures tbody tr", has_text="Reverse flow")
    expect(row).to_contain_text(f"{said['reverse']['completeness_pct']} %")
    if "hours" in said["reverse"]:
        expect(row).to_contain_text(f"{said['reverse']['hours']:.2f} h")
        assert sum(float(text) for text in page.locator("#heat tbody td").all_inner_texts() if text) == pytest.approx(said["reverse"]["hours"], abs=0.2)
    # Another feeder, another range; one that has nothing says so.
    page.get_by_label("Feeder").select_option("F02")
    expect(page).to_have_title("Backfeed: profile of F02")
    expect(page.locator("#profile-chart canvas")).to_be_visible(timeout=10_000)
    # A second one beside it, in the address too.
    page.get_by_label("Beside it").select_option("F03")
    expect(page.locator("#chart-note")).to_contain_text("net of F03")
    expect(page.locator("#profile-chart canvas")).to_be_visible(timeout=10_000)
    assert "beside=F03" in page.url
    page.screenshot(path=OUTPUT / f"profile-{scheme}.png", full_page=True)
    assert Axe().run(page).violations_count == 0
    page.get_by_label("From (UTC)").fill("2001-01-01 00:00")
    page.get_by_label("Until (UTC)").fill("2001-01-02 00:00")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#figures tbody tr", has_text="Net peak")).to_contain_text("n/a")
    expect(page.locator("#reverse-note")).to_contain_text("n/a: only 0")
    page.get_by_label("From (UTC)").fill("yesterday")
    page.get_by_role("button", name="Show").click()
    expect(page.locator("#failure")).to_contain_text('"yesterday": expected a time as')
    with page.expect_download() as download:
        page.get_by_role("link", name="CSV").click()
    assert download.value.suggested_filename == "F02.csv"
    assert page.problems == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_device_is_found_by_a_part_of_its_name(demo, browser, scheme):
    page = open_page(browser, demo, scheme)
    expect(page.locator("#feeders tbody tr")).to_have_count(11, timeout=20_000)
    device = next(d for d in demo.get("/v1/devices?feeder=F09&kind=pv&limit=50")["items"] if d.get("active_power_w"))
    page.keyboard.press("g")
    page.keyboard.type(device["id"].lower()[:-1])
    expect(page.locator("#found")).to_be_visible()
    expect(page.locator("#found li").first).to_contain_text(device["id"][:-1])
    assert Axe().run(page).violations_count == 0
    page.get_by_role("combobox", name="Find by name").fill("no such thing")
    expect(page.locator("#found")).to_contain_text("Nothing has that in its name.")
    page.get_by_role("combobox", name="Find by name").fill(device["id"])
    expect(page.locator("#found li").first).to_contain_text(device["id"])
    page.keyboard.press("Enter")
    expect(page.locator("#device-title")).to_have_text(device["id"])
    facts = page.locator("#facts")
    expect(facts).to_contain_text("into the grid")
    expect(facts).to_contain_text("F09")
    expect(page.locator("#power-chart canvas")).to_be_visible()
    expect(page.locator("#chart-note")).to_contain_text("usually one every")
    time.sleep(1)
    page.screenshot(path=OUTPUT / f"console-device-{scheme}.png")
    assert Axe().run(page).violations_count == 0
    # From here to its feeder.
    facts.get_by_role("link", name="F09").click()
    expect(page.locator("#chart-title")).to_have_text("Power at the head of F09")
    assert page.problems == []
    missing = open_page(browser, demo, scheme, "/device.html?id=none")
    expect(missing.locator("#failure")).to_contain_text("there is no device none")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_network_is_drawn_as_it_is_now(demo, browser, scheme):
    page = open_page(browser, demo, scheme, "/network.html")
    expect(page.locator("#picture path.branch")).to_have_count(len(demo.get("/v1/network")["branches"]), timeout=10_000)
    expect(page.locator("#picture-note")).to_contain_text("Every node is fed")
    # The sun is up: somewhere power goes back, and the state says the same as the drawing.
    wait_for(lambda: page.locator("#picture path.flow.reverse").count() > 0, seconds=40, what="power that goes back")
    expect(page.locator("#off li")).to_have_text(["none: every switch is where it normally stands"])
    assert page.locator("#picture g.switch.open").count() == len(demo.get("/v1/network/state")["switches"]) == 8
    page.screenshot(path=OUTPUT / f"console-network-{scheme}.png")
    assert Axe().run(page).violations_count == 0

    # A switch in the middle of F03 opens: what lies behind it is dead, in the list and in the drawing.
    network = demo.get("/v1/network")
    switch = next(item for item in network["switches"] if item["connects"] == "line" and item["position"] == "closed" and item["role"] == "sectionalizer"
                  and next(node for node in network["nodes"] if node["id"] == item["node"]).get("feeder") == "F03")
    assert demo.send("PUT", f"/v1/network/switches/{switch['id']}", {"position": "open", "actor": "ann", "reason": "test"})[0] == 200
    try:
        off = page.locator("#off li", has_text=switch["id"])
        expect(off).to_contain_text("open, normally closed", timeout=12_000)
        expect(page.locator("#dead li").first).not_to_contain_text("none")
        expect(page.locator("#picture g.switch.abnormal")).to_have_count(1)
        dead = sum(len(island) for island in demo.get("/v1/network/state")["dead_islands"])
        expect(page.locator("#picture circle.dead")).to_have_count(dead)
        off.get_by_role("button").click()
        expect(page.locator("#pointed")).to_contain_text(switch["element"])
        expect(page.locator("#picture circle.pointed")).to_have_count(1)
        page.screenshot(path=OUTPUT / f"console-network-dead-{scheme}.png")
    finally:
        demo.send("PUT", f"/v1/network/switches/{switch['id']}", {"position": "closed", "actor": "ann", "reason": "test"})
    expect(page.locator("#dead li")).to_have_text(["none: every node is fed"], timeout=12_000)

    # One feeder as a one-line diagram; its ties end at the neighbour.
    page.get_by_label("Feeder").select_option("F03")
    expect(page.locator("#picture-title")).to_have_text("F03, one-line diagram")
    own = sum(node.get("feeder") == "F03" for node in network["nodes"])
    drawn = page.locator("#picture circle.node").count()
    assert own < drawn < 2 * own and page.locator("#picture text.name").count() == drawn
    page.screenshot(path=OUTPUT / f"console-one-line-{scheme}.png")
    assert Axe().run(page).violations_count == 0
    # Found by name from anywhere.
    page.keyboard.press("g")
    page.keyboard.type(switch["id"])
    expect(page.locator("#found li").first).to_contain_text(switch["id"])
    page.keyboard.press("Enter")
    expect(page.locator("#pointed")).to_contain_text(switch["id"], timeout=10_000)
    assert page.problems == []


def test_a_shift_is_handed_over_on_one_page(demo, browser):
    page = open_page(browser, demo, path="/shift.html")
    expect(page.locator("#text")).to_contain_text("Desk all", timeout=10_000)
    expect(page.locator("#standing li")).not_to_have_count(0)
    page.get_by_label("The last").select_option("24")
    # The demo's data is of the day before.
    expect(page.locator("#came tbody tr")).not_to_have_count(0)
    expect(page.locator("#did tbody tr")).not_to_have_count(0)
    page.screenshot(path=OUTPUT / "shift.png", full_page=True)
    assert Axe().run(page).violations_count == 0
    assert page.problems == []


def test_a_lost_connection_is_plain_within_five_seconds_and_comes_back(demo, browser):
    page = open_page(browser, demo)
    expect(page.locator("#feeders tbody tr")).to_have_count(11, timeout=20_000)
    expect(page.locator("#lost")).to_be_hidden(timeout=10_000)
    demo.process.send_signal(signal.SIGSTOP)
    try:
        expect(page.locator("#lost")).to_be_visible(timeout=5_500)
        expect(page.locator("#lost")).to_contain_text("nothing is known of the feeders now")
        page.screenshot(path=OUTPUT / "console-lost.png")
    finally:
        demo.process.send_signal(signal.SIGCONT)
    expect(page.locator("#lost")).to_be_hidden(timeout=10_000)
