"""The service's memory is bounded by its settings, whatever it is sent."""
import json
import os
import pathlib
import signal
import time

from conftest import DATA, Publisher, Service, run, wait_for
from test_lossless import backends, postmaster, sample, stored

LIMIT_MB = 256


def peak_mb(service):
    status = pathlib.Path(f"/proc/{service.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def padded(samples, size):
    """A message of a given size whose samples are few: what is not known is skipped, but must be read."""
    text = json.dumps({"note": "", "samples": samples})
    return text.replace('"note": ""', '"note": "' + "x" * (size - len(text)) + '"').encode()


def test_memory_is_bounded_whatever_comes(folder):
    run("network", "import", DATA, "--data-dir", folder / "state")
    # Without limits of rate: these are for those who keep to nothing.
    service = Service(folder, settings=("telemetry.max_messages_per_s=0", "telemetry.max_bytes_per_s=0", "ingest.database_deadline_ms=2000",
                                        "spool.max_bytes=60000000"))
    try:
        before = peak_mb(service)
        start = time.time() - 3600
        large, wrong, other = (Publisher(service, name) for name in ("AGG-L", "AGG-W", "AGG-O"))
        bad = [{"device": f"nobody-{k}", "time": int(start * 1e6), "active_power_w": 1.0} for k in range(10_000)]
        frozen = [postmaster(service), *backends(service)]
        for round in range(3):
            # The database stands still in the second round: everything that can fill does.
            for pid in frozen if round == 1 else ():
                os.kill(pid, signal.SIGSTOP)
            try:
                for n in range(40):
                    large.send(padded([sample(round * 1000 + n, start)], 3_000_000))
                    wrong.send({"samples": bad})
                    large.send(b"x" * 4_000_000)
                    other.samples(sample(round * 1000 + n, start, "FH-F02"))
                time.sleep(4 if round == 1 else 1)
            finally:
                for pid in frozen if round == 1 else ():
                    os.kill(pid, signal.SIGCONT)
        wait_for(lambda: stored(service) == 240, 120, what="the right samples among them")
        assert service.metric("backfeed_rejects_total", aggregator="AGG-W") == 1_200_000
        assert service.metric("backfeed_rejects_total", reason="too_large") == 120
        peak = peak_mb(service)
        print(f"memory: {before} MB before, {peak} MB at most")
        assert peak < LIMIT_MB
        for publisher in (large, wrong, other):
            publisher.socket.close(linger=0)
    finally:
        service.stop()
