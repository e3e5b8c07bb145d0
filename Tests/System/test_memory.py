"""The service's memory is bounded by its settings, whatever it is sent."""
import pathlib
import time

from conftest import DATA, Service, run
from test_lossless import Journalled, backends, freeze, postmaster, sample, stored, thaw

LIMIT_MB = 256


def peak_mb(service):
    status = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def test_memory_is_bounded_whatever_comes_and_nothing_is_lost(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    # Without limits of rate: these are for those who keep to nothing.
    service = Service(folder, settings=("telemetry.max_messages_per_s=0", "telemetry.max_bytes_per_s=0", "ingest.database_deadline_ms=2000",
                                        "spool.max_bytes=60000000"))
    try:
        before = peak_mb(service)
        start = time.time() - 3600
        large, wrong, other = publishers = [
            Journalled(name, service.telemetry, service.control, folder / f"{name}.journal") for name in ("AGG-L", "AGG-W", "AGG-O")]
        bad = [{"device": f"nobody-{k}", "time": int(start * 1e6), "active_power_w": 1.0} for k in range(10_000)]
        frozen = [postmaster(service), *backends(service)]
        for round in range(3):
            # The database stands still in the second round: everything that can fill does. In the third it is the service
            # that stands, and then finds it all at once.
            standing = [[], frozen, [service.process.pid]][round]
            standing = freeze(standing)
            try:
                for n in range(40):
                    # What is not known is skipped, but must be read.
                    large.publish([{**sample(round * 1000 + n, start), "note": "x" * 2_990_000}])
                    wrong.publish(bad)
                    large.publish([{"note": "x" * 4_000_000}])
                    other.publish([sample(round * 1000 + n, start, "FH-F02")])
                serve_for(publishers, 4 if round == 1 else 1)
            finally:
                thaw(standing)
        until = time.monotonic() + 180
        while any(publisher.durable < publisher.last for publisher in publishers):
            assert time.monotonic() < until, [(publisher.durable, publisher.last) for publisher in publishers]
            serve_for(publishers, 0.1)
        assert stored(service) == 240
        assert service.metric("backfeed_rejects_total", aggregator="AGG-W") == 1_200_000
        assert service.metric("backfeed_rejects_total", reason="too_large") == 120
        peak, dropped = peak_mb(service), service.metric("backfeed_messages_dropped_total")
        print(f"memory: {before} MB before, {peak} MB at most; {dropped:.0f} messages dropped and asked for again")
        assert peak < LIMIT_MB
        assert dropped > 0 and service.sql("SELECT count(*) FROM backfeed.data_gap") == "0"
    finally:
        service.stop()


def serve_for(publishers, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for publisher in publishers:
            publisher.serve(10)
