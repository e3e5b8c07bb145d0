"""The example for engineers runs as it stands, over a service with a day in it."""
import os
import subprocess
import sys

from conftest import ROOT, wait_for
from test_dashboards import demo  # noqa: F401


def test_the_notebook_runs(demo):  # noqa: F811
    # The quarter hour that is being filled changes between one reading and the next: some whole ones are needed beside it.
    wait_for(lambda: len(demo.get("/v1/feeders/F09/profile?bucket=15m")["items"]) > 10 and int(demo.sql("SELECT count(*) FROM backfeed.forecast_error WHERE ahead_min = 30")) > 10, 120, what="some of the day")
    done = subprocess.run(
        [sys.executable, ROOT / "docs/notebook.py"], capture_output=True, text=True, timeout=120,
        env=os.environ | {"BACKFEED_URL": demo.http, "BACKFEED_DATABASE": f"host={demo.folder}/state/postgres user=backfeed dbname=postgres options='-c default_transaction_read_only=on'"})
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr
    assert "quarter hours of F09 are the same over CSV and SQL" in done.stdout and "forecast, kW" in done.stdout
