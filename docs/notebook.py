# %% [markdown]
# # A feeder's past in pandas
#
# For engineers. Open this file as a notebook (Jupyter with jupytext, VS Code) or run it: `python docs/notebook.py`. It needs `pandas`, and `psycopg` for
# the part over SQL. It reads what a running service has; nothing is written.

# %%
import json
import os
import urllib.request

import pandas as pd

service = os.environ.get("BACKFEED_URL", "http://127.0.0.1:8080")
# The private cluster of `make run`, for reading only; of your own PostgreSQL somebody who has the role backfeed_reader.
database = os.environ.get("BACKFEED_DATABASE", f"host={os.getcwd()}/var/postgres user=backfeed dbname=postgres options='-c default_transaction_read_only=on'")
feeder = os.environ.get("BACKFEED_FEEDER", "F09")

# %% [markdown]
# ## Over HTTP: one CSV, one data frame
#
# Quarter hours, in W; negative net power flows back to the substation. `native_w` is the load without DER.

# %%
profile = pd.read_csv(f"{service}/v1/feeders/{feeder}/profile?bucket=15m&format=csv", parse_dates=["time"], index_col="time")
print(profile[["net_w", "native_w", "pv_w"]].describe().round(0))

# %% [markdown]
# Reverse hours and energy by hour of the day, only where the head was measured: a quarter hour counts when half of it has data.

# %%
valid = profile[profile.head_coverage >= 0.5]
reverse = valid[valid.net_w < 0]
by_hour = pd.DataFrame({
    "hours": reverse.groupby(reverse.index.hour).size() / 4,
    "mwh": valid.groupby(valid.index.hour).reverse_wh.sum() / 1e6,
}).fillna(0)
print(by_hour.round(2))

# %% [markdown]
# Load duration: net power that is exceeded for a part of the time.

# %%
duration = valid.net_w.sort_values(ascending=False).reset_index(drop=True)
duration.index = (duration.index + 1) / len(duration) * 100
print(duration.iloc[[0, len(duration) // 2, -1]])

# %% [markdown]
# The service's own statistics, with the completeness of each figure, to compare with.

# %%
with urllib.request.urlopen(f"{service}/v1/feeders/{feeder}/statistics") as answer:
    statistics = json.load(answer)
print(pd.json_normalize(statistics["load"]).T)

# %% [markdown]
# ## Over SQL: all feeders at once
#
# The views are documented in `docs/sql.md`; every column has a comment (`\d+ backfeed.feeder_profile_15m`).

# %%
import psycopg

with psycopg.connect(database) as connection:
    def read(query, *parameters):
        cursor = connection.execute(query, parameters)
        return pd.DataFrame(cursor.fetchall(), columns=[column.name for column in cursor.description])

    rows = read("SELECT time, feeder, net_w, native_w, pv_w FROM backfeed.feeder_profile_15m WHERE feeder = normal_feeder ORDER BY time")
    net = rows.pivot(index="time", columns="feeder", values="net_w")
    print((net / 1e6).describe().round(2))

    # How good the forecast was, half an hour ahead, beside taking the present for the future.
    errors = read("SELECT feeder, measured_w - p50_w AS forecast, measured_w - net_then_w AS persistence FROM backfeed.forecast_error WHERE ahead_min = 30")
    rmse = errors.groupby("feeder").agg(lambda error: (error.astype(float) ** 2).mean() ** 0.5) / 1e3
    print(rmse.round(1).rename(columns=lambda name: f"{name}, kW"))

# %% [markdown]
# The same numbers, whichever way they come.

# %%
same = net[feeder].dropna()
# The newest quarter hours may still have been filled between the two readings.
both = profile.net_w.dropna().index.intersection(same.index)[:-2]
assert len(both) > 0 and (profile.net_w[both] - same[both]).abs().max() < 1, "CSV and SQL differ"
print(f"{len(both)} quarter hours of {feeder} are the same over CSV and SQL")
