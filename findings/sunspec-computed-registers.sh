#!/usr/bin/env bash
# pysunspec2 1.3.7: registers that are written from computed values, and read again.
#
# Guess: get_mb(computed=True) writes the same registers as get_mb(), or engineering units with scale factors of 0.
# Seen:  it writes engineering units, cut to whole numbers, and leaves the scale factors as they are: whoever reads the
#        block applies them again. 4210 W become 42100 W, 230.1 V become 23.0 V.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysunspec2==1.3.7
cat >"$folder/run.py" <<'PYTHON'
import importlib.metadata
import sys

from sunspec2.device import Model, get_model_def

sent, read = (Model(model_id=103, model_def=get_model_def(103)) for _ in range(2))
for name, value in {"W": 421, "W_SF": 1, "PhVphA": 2301, "V_SF": -1}.items():
    sent.points[name].value = value
read.set_mb(sent.get_mb(computed=True))
for name in ("W", "PhVphA"):
    print("pysunspec2", importlib.metadata.version("pysunspec2"), name, "sent", sent.points[name].cvalue, "read", read.points[name].cvalue)
if (read.points["W"].cvalue, read.points["PhVphA"].cvalue) != (42100, 23.0):
    sys.exit("the behaviour has changed")
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
