#!/usr/bin/env bash
# py20305 0.16.1: a battery that registered while it gave and then takes, and the period of a mean.
#
# Guess: the sign follows the battery: reverse, or a negative value; the period of a mean lies before the reading.
# Seen:  by default the direction is fixed when the mirror usage point is registered and values are magnitudes: 3000 W
#        out and 3000 W in are the same post, and nothing in either differs. A voltage (dataQualifier 2, a mean) has the
#        moment of the reading as the start of its period and the post rate as its duration: it ends 300 s in the future.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check py20305==0.16.1
cat >"$folder/run.py" <<'PYTHON'
import importlib.metadata
import sys

from py20305.telemetry.mup import create_meter_reading_list, create_mup

LFDI, NOW = "3e4f45ab31edfe5b67e343e5e4562e31984e23e5", 1_782_039_600
device = {"W": 3000, "V": 400.0}
usage = create_mup(LFDI, device, post_rate=300)
types = {bytes(reading.m_rid.value): reading.reading_type for reading in usage.mirror_meter_reading}


def posted(watts):
    readings = create_meter_reading_list(LFDI, device | {"W": watts}, timestamp=NOW, post_rate=300).mirror_meter_reading
    found = {}
    for reading in readings:
        kind = types[bytes(reading.m_rid.value)]
        period = reading.reading.time_period
        found[kind.uom.value] = (kind.flow_direction.value, reading.reading.value, kind.data_qualifier.value, period.start.value + period.duration - NOW)
    return found


gives, takes = posted(3000), posted(-3000)
print("py20305", importlib.metadata.version("py20305"), "roleFlags", usage.role_flags.value.hex())
print("gives 3000 W: flowDirection, value, dataQualifier, seconds ahead =", gives[38], "| takes 3000 W:", takes[38], "| voltage:", gives[29])
if gives[38] != (1, 3000, 12, 0) or takes != gives or gives[29][2:] != (2, 300):
    sys.exit("the behaviour has changed")
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
