#!/usr/bin/env bash
# ocpp 2.1.0: a limit of one phase in OCPP 2.1, sent with the library's own types and checked by its own schema.
#
# Guess: a charging schedule with limit_l2 and limit_l3 goes out as limit_L2 and limit_L3, as the schema has them.
# Seen:  names are joined without underscores, so that limitL2 goes out; the schema has limit_L2 and allows nothing else,
#        and the call is refused before it is sent. The same payload written by hand is valid. So a CSMS built on these
#        types cannot limit phases apart (limit, dischargeLimit, setpoint), nor send fixedPFInject of SetDERControl.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check ocpp==2.1.0
cat >"$folder/run.py" <<'PYTHON'
import asyncio
import importlib.metadata
import sys

from ocpp.charge_point import remove_nones, serialize_as_dict, snake_to_camel_case
from ocpp.exceptions import OCPPError
from ocpp.messages import Call, validate_payload
from ocpp.v21 import call, datatypes


def verdict(action, payload):
    try:
        asyncio.run(validate_payload(Call("1", action, payload), "2.1"))
        return "valid"
    except OCPPError as error:
        return type(error).__name__


def sent(payload):
    return snake_to_camel_case(remove_nones(serialize_as_dict(payload)))


period = datatypes.ChargingSchedulePeriodType(start_period=0, limit=16.0, limit_l2=10.0, limit_l3=10.0)
schedule = datatypes.ChargingScheduleType(id=1, charging_rate_unit="A", charging_schedule_period=[period])
profile = datatypes.ChargingProfileType(
    id=1, stack_level=0, charging_profile_purpose="TxDefaultProfile", charging_profile_kind="Relative", charging_schedule=[schedule])
made = sent(call.SetChargingProfile(evse_id=1, charging_profile=profile))
period_sent = made["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"][0]
by_types = verdict("SetChargingProfile", made)
by_hand = {"startPeriod": 0, "limit": 16.0, "limit_L2": 10.0, "limit_L3": 10.0}
made["chargingProfile"]["chargingSchedule"][0]["chargingSchedulePeriod"] = [by_hand]
print("ocpp", importlib.metadata.version("ocpp"), "by its types:", sorted(period_sent), by_types, "| by hand:", sorted(by_hand), verdict("SetChargingProfile", made))

factor = datatypes.FixedPFType(priority=1, displacement=0.95, excitation=True)
made_factor = sent(call.SetDERControl(is_default=True, control_id="1", control_type="FixedPFInject", fixed_pf_inject=factor))
by_types_factor = verdict("SetDERControl", made_factor)
made_factor["fixedPFInject"] = made_factor.pop("fixedPfInject", None)
print("SetDERControl by its types:", by_types_factor, "| by hand:", verdict("SetDERControl", made_factor))
if "limitL2" not in period_sent or by_types == "valid" or verdict("SetChargingProfile", made) != "valid":
    sys.exit("the behaviour has changed")
if by_types_factor == "valid" or verdict("SetDERControl", made_factor) != "valid":
    sys.exit("the behaviour has changed")
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
