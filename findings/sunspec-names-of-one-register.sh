#!/usr/bin/env bash
# SunSpec's own definitions, as pysunspec2 1.3.7 carries them: the meters' voltages between lines.
#
# Guess: a point has one name in the meters 201 to 204, so that a reader written for the three-phase meter reads the
#        one-phase meter.
# Seen:  at the same offset of the same block the voltage from A to B is PPVphAB in 201 and PhVphAB in 202 to 204; their
#        float twins 211 to 214 all say PPVphAB. Asked for the other name, pysunspec2 has no such point.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysunspec2==1.3.7
cat >"$folder/run.py" <<'PYTHON'
import importlib.metadata
import sys

from sunspec2.device import get_model_def

found = {}
for model in (201, 202, 203, 204, 211, 212, 213, 214):
    offset = 0
    for point in get_model_def(model)["group"]["points"]:
        if point["name"] in ("PPVphAB", "PhVphAB"):
            found[model] = (point["name"], offset)
        offset += point["size"]
print("pysunspec2", importlib.metadata.version("pysunspec2"), found)
names = {201: "PPVphAB", 202: "PhVphAB", 203: "PhVphAB", 204: "PhVphAB", 211: "PPVphAB", 212: "PPVphAB", 213: "PPVphAB", 214: "PPVphAB"}
if {model: name for model, (name, _) in found.items()} != names or len({found[model][1] for model in (201, 202, 203, 204)}) != 1:
    sys.exit("the definitions have changed")
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
