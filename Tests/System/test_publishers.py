"""Who speaks for what: epochs, owners, and what is shown as live, against publishers that are wrong."""
import time

from conftest import Publisher, rfc3339, run, wait_for

HEAD, PV = "FH-F06", "MV2.101_MV_SGen_3"


def stored(service):
    return int(service.sql("SELECT count(*) FROM backfeed_store.sample"))


def rejects(service, reason):
    return int(service.sql(f"SELECT count(*) FROM backfeed_store.rejected_sample WHERE reason = '{reason}'"))


def power(device, watts=1000.0, at=None, **more):
    return {"device": device, "time": rfc3339(time.time() if at is None else at), "active_power_w": watts, **more}


def test_an_epoch_of_the_future_is_refused_and_shuts_nobody_out(service):
    ahead = Publisher(service, "AGG-A", epoch=2_085_955_200_000_000)
    ahead.samples(power(HEAD))
    wait_for(lambda: rejects(service, "bad_position") == 1, what="the refusal")
    assert "ahead of our clock" in service.sql("SELECT detail FROM backfeed_store.rejected_sample")
    right = Publisher(service, "AGG-A")
    right.samples(power(HEAD))
    wait_for(lambda: stored(service) == 1, what="the right epoch")


def test_a_stream_that_cannot_go_on_begins_anew_by_order(service):
    # Within ingest.future_s, so taken: twenty hours ahead.
    ahead = Publisher(service, "AGG-A", epoch=int((time.time() + 72_000) * 1e6))
    ahead.samples(power(HEAD))
    wait_for(lambda: stored(service) == 1, what="the stream")
    right = Publisher(service, "AGG-A")
    right.samples(power(HEAD))
    wait_for(lambda: rejects(service, "old_epoch") == 1, what="the refusal")
    directory = service.folder / "state"
    assert "begins anew" in run("publisher", "reset", "AGG-A", "--data-dir", directory).stdout
    assert run("publisher", "reset", "nobody", "--data-dir", directory, expect=1)
    wait_for(lambda: service.sql("SELECT count(*) FROM backfeed_store.ingest_order WHERE taken_at IS NULL") == "0", what="the order")
    right.samples(power(HEAD))
    wait_for(lambda: stored(service) == 2, what="the right epoch")
    assert service.sql("SELECT action || ' ' || subject FROM backfeed.audit WHERE action = 'publisher.reset'") == "publisher.reset AGG-A"
    # A restart does not go back to where it was.
    service.stop()
    service.start()
    Publisher(service, "AGG-A").samples(power(HEAD))
    wait_for(lambda: stored(service) == 3, what="the right epoch after a restart")


def test_a_device_changes_its_aggregator_by_order_and_a_refused_sample_owns_nothing(service):
    old, new = Publisher(service, "AGG-OLD"), Publisher(service, "AGG-NEW")
    # What is refused, for whatever reason, takes nothing.
    new.samples({"device": PV, "time": rfc3339(time.time())})
    new.samples(power(PV, at=time.time() + 90_000))
    new.samples({"device": PV, "time": rfc3339(time.time()), "active_power_w": 1, "interval_s": 100_000})
    wait_for(lambda: int(service.sql("SELECT count(*) FROM backfeed_store.rejected_sample")) == 3, what="three refusals")
    old.samples(power(PV))
    wait_for(lambda: stored(service) == 1, what="the first owner")
    new.samples(power(PV))
    wait_for(lambda: rejects(service, "wrong_aggregator") == 1, what="the refusal")
    directory = service.folder / "state"
    assert "was AGG-OLD's, is AGG-NEW's" in run("device", "hand-over", PV, "AGG-NEW", "--data-dir", directory).stdout

    def taken():
        return service.sql("SELECT count(*) FROM backfeed_store.ingest_order WHERE taken_at IS NULL") == "0"
    wait_for(taken, what="the order")
    new.samples(power(PV))
    wait_for(lambda: stored(service) == 2, what="the new owner")
    old.samples(power(PV))
    wait_for(lambda: rejects(service, "wrong_aggregator") == 2, what="the old owner refused")
    # Released while the service is down: whoever speaks next.
    service.stop()
    run("device", "release", PV, "--data-dir", directory)
    assert run("device", "release", "nowhere", "--data-dir", directory, expect=1)
    service.start()
    Publisher(service, "AGG-OLD").samples(power(PV))
    wait_for(lambda: stored(service) == 3, what="whoever speaks next")
    assert service.sql("SELECT string_agg(action, ',' ORDER BY number) FROM backfeed.audit WHERE subject = '%s'" % PV) == "device.handed_over,device.released"


def head(service, feeder="F06"):
    return service.get(f"/v1/feeders/{feeder}")


def test_values_of_bad_quality_are_not_shown_as_live(service):
    scada = Publisher(service, "SCADA")

    def tell(*samples):
        before = stored(service)
        scada.samples(*samples)
        wait_for(lambda: stored(service) == before + len(samples), what="storing")
    # Alone: nothing is known.
    tell(power(HEAD, -2e6, quality=["INVALID"]))
    assert head(service)["direction"] == "unknown" and "head_power_w" not in head(service)
    tell(power(HEAD, 3e6))
    wait_for(lambda: head(service).get("head_power_w") == 3e6, what="the good value")
    for quality in ("INVALID", "OLD", "TEST", "FROZEN", "OUT_OF_RANGE", "CLOCK_SUSPECT", "INCONSISTENT", "SIGN_SUSPECT"):
        tell(power(HEAD, -2e6, quality=[quality]), power(PV, 9000, quality=[quality]))
    assert head(service)["head_power_w"] == 3e6 and head(service)["direction"] == "import"
    assert "active_power_w" not in service.get(f"/v1/devices/{PV}")
    # Twenty hours ahead of the clock: suspect, and it keeps no later one out.
    tell(power(HEAD, -2e6, at=time.time() + 72_000))
    assert head(service)["head_power_w"] == 3e6
    tell(power(HEAD, 3.1e6))
    wait_for(lambda: head(service)["head_power_w"] == 3.1e6, what="the next good value")
