"""The console's page of switching plans: written, judged, approved, void, executed, in a real browser."""
import json
import re
import time

from axe_playwright_python.sync_playwright import Axe
from conftest import OUTPUT, wait_for
from playwright.sync_api import expect
from test_console import browser, demo, open_page  # noqa: F401
from test_plans import CLOSE, OPEN, PLAN, emergency, plan, room  # noqa: F401
from test_switching import PLAN as TRANSFER


def name(page, text):
    page.get_by_label("Your name").fill(text)
    page.get_by_label("Your name").blur()


def accessible(page):
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()


def press(page, text, **fields):
    """A button; where it asks, the answers by their labels, and yes."""
    page.get_by_role("button", name=text, exact=True).first.click()
    for label, value in fields.items():
        box = page.locator(f'#dialog [name="{label}"]')
        box.select_option(value) if box.evaluate("e => e.tagName") == "SELECT" else box.fill(value)
    if text.endswith("…"):
        page.locator("#dialog-yes").click()


def judge(page):
    """Judges the plan that is shown again, and waits for that verdict: what stands there until then is the one before."""
    before = re.search(r"\(verdict \d+\)", page.locator("#verdict").inner_text())
    press(page, "Judge")
    if before:
        expect(page.locator("#verdict")).not_to_contain_text(before.group())
    expect(page.locator("#verdict")).to_contain_text(re.compile(r"\(verdict \d+\)"))


def test_a_plan_is_written_approved_and_executed(room, browser):  # noqa: F811
    page = open_page(browser, room, path="/switching.html")
    expect(page.locator("#no-plans")).to_be_visible()
    name(page, "kim")
    page.get_by_role("button", name="New plan").click()
    text = page.locator("#text")
    draft = json.loads(text.input_value())
    assert draft["author"] == "kim" and draft["steps"] == []
    # What is wrong is said as the service says it, all of it, and the text stays.
    text.fill(json.dumps({**draft, "id": "T06", "kind": "HOPE", "steps": PLAN["steps"][:1]}))
    press(page, "Judge, keep nothing")
    expect(page.locator("#refusal")).to_contain_text("kind")
    text.fill(json.dumps({**PLAN, "steps": PLAN["steps"][:1]}))
    page.locator("#step-action").select_option("close")
    page.locator("#step-element").fill(CLOSE)
    press(page, "Add step")
    written = json.loads(text.input_value())
    assert written["steps"] == PLAN["steps"]
    # A verdict on what nobody keeps.
    press(page, "Judge, keep nothing")
    expect(page.locator("#plan-title")).to_have_text("T06: judged, not kept")
    expect(page.locator("#verdict")).to_contain_text(re.compile("APPROVE WITH CONDITIONS|APPROVE"))
    assert room.get("/v1/switching/plans")["items"] == []
    press(page, "Keep")
    expect(page.locator("#plan-title")).to_have_text("T06, version 1")
    expect(page.locator("#verdict")).to_contain_text("(verdict 1)")
    # Step by step: what the network is then, in the table and in the picture.
    rows = page.locator("#steps tbody tr")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text("2 nodes")
    page.locator('[data-sequence="1"]').click()
    expect(page.locator("#picture-title")).to_have_text("Network after step 1")
    expect(page.locator("#picture-note")).to_contain_text("2 nodes dead")
    assert page.locator("#picture path.dead").count() >= 1 and page.locator("#picture g.switch.open").count() == 2
    page.locator('[data-sequence="2"]').click()
    expect(page.locator("#picture-note")).to_contain_text("Every node is fed")
    assert page.locator("#picture g.switch.closed").count() == 1
    expect(page.locator("#worst tbody tr").first).to_contain_text("%")

    # Not by its author; the refusal is the service's. Then by another person.
    press(page, "Approve…")
    expect(page.locator("#refusal")).to_contain_text("X4")
    name(page, "lee")
    judge(page)
    expect(page.locator("#verdict")).to_contain_text("(verdict 2)")
    press(page, "Approve…")
    expect(page.locator("#state")).to_contain_text("Approved by lee")
    # Something changes elsewhere: the page says so by itself.
    room.send("PUT", "/v1/network/switches/HV-TIE", {"position": "unknown", "actor": "pat"})
    expect(page.locator("#state")).to_contain_text("the approval is void: a switch has moved", timeout=5_000)
    expect(page.locator('[data-plan="T06"]')).to_contain_text("recheck")
    expect(page.locator("#state")).not_to_contain_text("Approved by")
    expect(page.locator("#verdict")).to_contain_text("Before the change")
    page.screenshot(path=OUTPUT / "plan-recheck.png")
    room.send("PUT", "/v1/network/switches/HV-TIE", {"position": "closed", "actor": "pat"})
    judge(page)
    expect(page.locator("#verdict")).to_contain_text("APPROVE")
    expect(page.locator("#verdict")).not_to_contain_text("Before the change")
    press(page, "Approve…")
    expect(page.locator("#state")).to_contain_text("Approved by lee")

    # What is to be done first, then step by step.
    while page.get_by_role("button", name=re.compile("^Met: ")).count():
        before = page.get_by_role("button", name=re.compile("^Met: ")).count()
        page.get_by_role("button", name=re.compile("^Met: ")).first.click()
        page.locator('#dialog [name="evidence"]').fill("measured")
        page.locator("#dialog-yes").click()
        expect(page.get_by_role("button", name=re.compile("^Met: "))).to_have_count(before - 1)
    for number in (1, 2):
        step = rows.nth(number)

        def issued():
            if step.get_by_role("button", name="Issue…").count():
                step.get_by_role("button", name="Issue…").click()
                # The service has answered: the step is issued, or it says why not.
                with page.expect_response(lambda answer: "/issue" in answer.url):
                    page.locator("#dialog-yes").click()
            page.wait_for_timeout(50)
            return "issued by lee" in step.inner_text()

        wait_for(issued, 30, every=1, what=f"step {number} to be issued")
        if number == 1:
            room.heads.power.update({"PV-A1b": 0, "FH-A1": 2_500_000.0})
        step.get_by_role("button", name="Executed…").click()
        page.locator('#dialog [name="note"]').fill("read back")
        page.locator("#dialog-yes").click()
        expect(step).to_contain_text("done by lee")
    expect(page.locator("#state")).to_contain_text("completed")
    assert plan(room)["state"] == "completed" and room.get(f"/v1/devices/{OPEN}")["switch_position"] == "open"
    # The register, from the same page.
    press(page, "Place…", kind="tag", element=OPEN, value="HOLD", reason="work on site")
    expect(page.locator("#items")).to_contain_text(f"tag HOLD on {OPEN}")
    page.get_by_role("button", name=f"Remove tag on {OPEN}").click()
    page.locator('#dialog [name="reason"]').fill("done")
    page.locator("#dialog-yes").click()
    expect(page.locator("#items li")).to_have_count(0)
    # A refused request is an error in the browser's console; nothing else may be.
    assert [p for p in page.problems if "409" not in p and "400" not in p] == []


def test_a_rejected_plan_is_read_in_ten_seconds(demo, browser):  # noqa: F811
    demo.send("POST", "/v1/safety/declare", {"actor": "ann", "reason": "copied from the log book"})
    wait_for(lambda: demo.send("POST", "/v1/switching/validate", TRANSFER)[1]["verdict"] == "REJECT", 90, every=1, what="a verdict on measured heads")
    page = open_page(browser, demo, path="/switching.html")
    name(page, "kim")
    page.get_by_role("button", name="New plan").click()
    page.locator("#text").fill(json.dumps(TRANSFER))
    press(page, "Keep")
    expect(page.locator("#verdict")).to_contain_text("REJECT (verdict")
    # It opens at the step with the gravest finding, on a map of the network's own coordinates.
    expect(page.locator("#picture-title")).to_contain_text("Network after step")
    assert page.locator("#picture path.branch").count() > 400
    first = page.locator("#findings li").first
    expect(first).to_contain_text("BLOCK")
    assert first.locator(".response").inner_text()
    page.locator('[data-sequence="1"]').click()
    expect(page.locator("#picture-note")).to_contain_text("11 nodes dead")
    expect(page.locator("#not-run summary")).to_contain_text("left out, not passed")
    # By keyboard: the next step.
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.locator("#picture-title")).to_have_text("Network after step 2")
    page.screenshot(path=OUTPUT / "plan-light.png", full_page=True)
    assert page.problems == []
    accessible(page)
    dark = open_page(browser, demo, "dark", "/switching.html")
    dark.locator('[data-plan="T06"]').click()
    expect(dark.locator("#verdict")).to_contain_text("REJECT")
    dark.get_by_role("button", name="New plan").click()
    time.sleep(1)
    assert dark.problems == []
    accessible(dark)
    dark.locator("#close-editor").click()
    dark.screenshot(path=OUTPUT / "plan-dark.png", full_page=True)


def test_what_is_left_after_a_plan_stands_on_the_page_until_it_is_done(room, browser):  # noqa: F811
    emergency(room)
    page = open_page(browser, room, path="/switching.html")
    name(page, "pat")
    # Its plan is done, and not in the list of plans.
    expect(page.locator("#no-plans")).to_be_visible()
    left = page.locator("#due button")
    expect(left).to_contain_text(re.compile(r"E-1: Review it .*due "))
    accessible(page)
    room.sql("UPDATE backfeed_store.switching_due SET due_at = now() - interval '1 hour'")
    expect(left).to_contain_text("OVERDUE since", timeout=15_000)
    page.screenshot(path=OUTPUT / "plan-due.png")
    left.click()
    expect(page.locator("#plan-title")).to_have_text("E-1, version 1")
    page.locator("#conditions button").click()
    page.locator('#dialog [name="evidence"]').fill("reviewed with lee")
    page.locator("#dialog-yes").click()
    expect(page.locator("#due-part")).to_be_hidden()
