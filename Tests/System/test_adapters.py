"""Readings as the real libraries of the standards write them: pysunspec2 and ocpp as peers of `backfeed adapt`."""
import asyncio
import fnmatch
import importlib
import json
import math
import pathlib
import random
import re
import struct

import ocpp.charge_point
import ocpp.messages
import pytest
import sunspec2.device
from conftest import run

TIME = "2026-06-21T11:00:00Z"
READ = [101, 102, 103, 111, 112, 113, 201, 202, 203, 204, 211, 212, 213, 214, 701, 713, 802]
REFUSED = [*range(702, 713), 714]


def adapt(standard, readings):
    """Samples and notes by line of each reading; a refused reading has no sample."""
    text = "".join(json.dumps(reading) + "\n" for reading in readings)
    done = run("adapt", standard, input=text, expect=None)
    assert done.returncode in (0, 1), done.stderr
    notes = {}
    for line in done.stderr.splitlines():
        place, note = re.fullmatch(r".*standard input, line (\d+): (.*)", line).groups()
        notes.setdefault(int(place) - 1, []).append(note)
    return [json.loads(line) for line in done.stdout.splitlines()], notes


def table(standard):
    """Rows of the table of fields, as lists of cells."""
    lines = run("adapt", standard, "fields").stdout.splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("| ")]


# MARK: SunSpec


def definitions(group):
    """Each point of a model's definition, nested ones too."""
    yield from group.get("points", [])
    for inner in group.get("groups", []):
        yield from definitions(inner)


@pytest.mark.parametrize("model", READ)
def test_each_point_of_each_model_has_one_row_with_its_type_and_scale_factor(model):
    rows = [row for row in table("sunspec") if str(model) in re.split(r", ", row[0])]
    for point in definitions(sunspec2.device.get_model_def(model)["group"]):
        names = [row for row in rows if any(fnmatch.fnmatchcase(point["name"], name) for name in re.findall(r"`([^`]+)`", row[1]))]
        assert len(names) == 1, f"{model}.{point['name']}: {names}"
        if names[0][2] != "–":
            kind, _, scale = names[0][2].partition(" × ")
            assert kind == point["type"], f"{model}.{point['name']}"
            assert scale.strip("`") == str(point.get("sf", "")), f"{model}.{point['name']}"


def made(model, values):
    """A model of pysunspec2 with these raw values; everything else is not implemented."""
    definition = sunspec2.device.get_model_def(model)
    found = sunspec2.device.Model(model_id=model, model_def=definition)
    for name, point in found.points.items():
        point.value = values.get(name)
    return found


def registers(model):
    """What a plain Modbus client reads: each number unsigned, whatever its type; floats as floats."""
    data, values, place = model.get_mb(), {}, 0
    for name, point in model.points.items():
        raw = data[place : place + 2 * point.len]
        place += 2 * point.len
        if point.pdef["type"] == "float32":
            values[name] = struct.unpack(">f", raw)[0]
        elif point.pdef["type"] != "string":
            values[name] = int.from_bytes(raw, "big")
    return values


def decoded(model):
    """What pysunspec2 itself reads from the same registers."""
    again = made(model.model_id, {})
    again.set_mb(model.get_mb())
    return again.get_dict()


def drawn(model, draw):
    """Raw values at random, half of the points not implemented, and the same by name in engineering units."""
    values, truth = {}, {}
    for point in sunspec2.device.get_model_def(model)["group"]["points"]:
        name, kind = point["name"], point["type"]
        if kind == "sunssf":
            values[name] = draw.randint(-3, 1) if name != "Hz_SF" else -2
        elif kind == "enum16" and name in ("St", "InvSt", "ACType", "ChaSt"):
            values[name] = 4 if name == "St" else 3 if name in ("InvSt", "ChaSt") else 2
        elif draw.random() < 0.5:
            values[name] = {
                "int16": lambda: draw.randint(-32767, 32767), "uint16": lambda: draw.randint(1, 32767),
                "uint32": lambda: draw.randint(4900, 5100), "uint64": lambda: draw.randint(1, 10**9), "acc32": lambda: draw.randint(1, 2**31 - 1),
                "float32": lambda: struct.unpack(">f", struct.pack(">f", draw.uniform(-9000, 9000)))[0],
            }.get(kind, lambda: None)()
    for name in ("Hz", "SoC"):
        if values.get(name) is not None:
            values[name] = 50.0 if f"{name}_SF" not in values else 5000
    for name in ("A", "PhV", "PhVphA", "PhVphB", "PhVphC", "AphA", "AphB", "AphC", "VL1", "VL2", "VL3", "TotWhImp", "TotWhExp", "WH"):
        if values.get(name) is not None:
            values[name] = abs(values[name])
    if model == 713:
        values.update(SoC=805, Pct_SF=-1)
    elif model == 802:
        values.update(SoC=805, SoC_SF=-1)
    for name, point in made(model, values).points.items():
        truth[name] = point.cvalue
    return values, truth


def test_what_pysunspec2_encodes_is_read_alike_as_signed_as_unsigned_and_as_computed():
    draw = random.Random(7)
    readings, truths = [], []
    for model in READ:
        for _ in range(12):
            values, truth = drawn(model, draw)
            if values.get("W") is None:
                values["W"] = truth["W"] = 1
            if model == 713:
                values.pop("W"), truth.pop("W")
            device = made(model, values)
            truth = {name: point.cvalue for name, point in device.points.items()}
            more = {"device": "d-1", "time": TIME, "model": model, "polarity": 1}
            for points, extra in ((decoded(device), {}), (registers(device), {}), (device.get_dict(computed=True), {"scaled": True})):
                readings.append({**more, "points": points, **extra})
                truths.append(truth)
    samples, notes = adapt("sunspec", readings)
    assert len(samples) == len(readings), notes
    for number, (sample, reading, truth) in enumerate(zip(samples, readings, truths)):
        def same(field, expected):
            assert math.isclose(sample.get(field, math.nan), expected, rel_tol=1e-6, abs_tol=1e-6), (number, field, expected, sample, notes.get(number))

        if truth.get("W") is not None:
            parts = [truth.get(name) for name in ("WphA", "WphB", "WphC", "WL1", "WL2", "WL3") if name in truth]
            if len(parts) == 3 and None not in parts:
                assert all(math.isclose(a, b, rel_tol=1e-6, abs_tol=1e-6) for a, b in zip(sample["active_power_w"], parts))
            else:
                same("active_power_w", truth["W"])
        if truth.get("Hz") is not None:
            same("frequency_hz", truth["Hz"])
        for point, field in (("TotWhImp", "energy_imported_wh"), ("TotWhExp", "energy_exported_wh"), ("WH", "energy_exported_wh"), ("TotWhInj", "energy_exported_wh")):
            if truth.get(point) is not None:
                same(field, truth[point])
            elif point in truth and not any(truth.get(other) for other in ("WH", "TotWhExp", "TotWhInj")):
                assert field not in sample or point == "TotWhImp" and truth.get("TotWhAbs")
        if reading["model"] in (713, 802):
            same("state_of_charge_pct", 80.5)
        assert "INVALID" not in sample.get("quality", []), notes.get(number)


def test_a_point_that_pysunspec2_does_not_implement_costs_nothing_beside_it():
    readings = []
    for model in READ:
        names = sunspec2.device.Model(model_id=model, model_def=sunspec2.device.get_model_def(model)).points
        values = {name: 0 for name in names if name.endswith("_SF")} | {"SoC": 50, "WHRtg": 5, "W": 100, "ChaSt": 3}
        readings += [{"device": "d-1", "time": TIME, "model": model, "polarity": 1, "points": form(made(model, values))} for form in (registers, decoded)]
    samples, notes = adapt("sunspec", readings)
    for reading, sample in zip(readings, samples, strict=True):
        found = {key: value for key, value in sample.items() if key not in ("device", "time", "quality")}
        assert found == ({"state_of_charge_pct": 50} if reading["model"] == 713 else {"active_power_w": 100} | ({"state_of_charge_pct": 50} if reading["model"] == 802 else {}))


def test_models_of_ratings_and_of_the_dc_side_are_refused_by_name():
    samples, notes = adapt("sunspec", [{"device": "d-1", "time": TIME, "model": model, "points": {"ID": model}} for model in REFUSED])
    assert samples == []
    assert all(f"model {model} " in notes[place][0] for place, model in enumerate(REFUSED))


# MARK: OCPP

VERSIONS = {"1.6": "v16", "2.0.1": "v201", "2.1": "v21"}


def module(version, name):
    return importlib.import_module(f"ocpp.{VERSIONS[version]}.{name}")


def encoded(version, values):
    """MeterValues as the library's charge point would send them: made by its types, checked by its schema."""
    types, old = module(version, "datatypes"), version == "1.6"
    values = [(types.SampledValue if old else types.SampledValueType)(**value) for value in values]
    meter = [(types.MeterValue if old else types.MeterValueType)(timestamp=TIME, sampled_value=values)]
    payload = module(version, "call").MeterValues(**{"connector_id" if old else "evse_id": 1}, meter_value=meter)
    sent = ocpp.charge_point.snake_to_camel_case(ocpp.charge_point.remove_nones(ocpp.charge_point.serialize_as_dict(payload)))
    asyncio.run(ocpp.messages.validate_payload(ocpp.messages.Call("1", "MeterValues", sent), version))
    return {"device": "ev-1", **sent}


def choices(version, field):
    """What the library's schema lets a field be."""
    folder = pathlib.Path(module(version, "call").__file__).parent / "schemas"
    if version == "1.6":
        schema = json.loads((folder / "MeterValues.json").read_text())
        return schema["properties"]["meterValue"]["items"]["properties"]["sampledValue"]["items"]["properties"][field]["enum"]
    names = {"measurand": "MeasurandEnumType", "location": "LocationEnumType", "phase": "PhaseEnumType", "context": "ReadingContextEnumType"}
    return json.loads((folder / "MeterValuesRequest.json").read_text())["definitions"][names[field]]["enum"]


def number(version, value):
    return {"value": str(value) if version == "1.6" else float(value)}


@pytest.mark.parametrize("version", VERSIONS)
def test_each_measurand_of_the_schema_is_in_the_table(version):
    rows = [name for row in table("ocpp") for name in re.findall(r"`([^`]+)`", row[0])]
    for measurand in choices(version, "measurand"):
        assert [name for name in rows if fnmatch.fnmatchcase(measurand, name)], measurand
    meanings = " ".join(cell for row in table("ocpp") for cell in row)
    for field in ("location", "phase", "context"):
        assert all(f"`{choice}`" in meanings for choice in choices(version, field)), field


@pytest.mark.parametrize("version", VERSIONS)
def test_whatever_the_schema_allows_is_taken_or_left_out_by_name_and_loses_no_neighbour(version):
    names, places, phases = ([None, *choices(version, field)] for field in ("measurand", "location", "phase"))
    cases = [(name, place, None) for name in names for place in places]
    cases += [(name, None, phase) for name in names for phase in phases[1:]]
    cases += [("Power.Active.Import", place, phase) for place in places[1:] for phase in phases[1:]]
    readings = []
    for name, place, phase in cases:
        value = {"measurand": name, "location": place, "phase": phase, **number(version, 50)}
        beside = {"measurand": "Frequency" if name == "SoC" else "SoC", **number(version, 51)}
        readings.append(encoded(version, [value, beside]))
    samples, notes = adapt("ocpp", readings)
    assert len(samples) == len(readings)
    for place, (case, sample) in enumerate(zip(cases, samples)):
        assert 51 in sample.values(), (case, sample)
        assert len(sample) == 4 or notes.get(place), case


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("context", ["Sample.Clock", "Sample.Periodic", "Transaction.End", "Trigger"])
def test_two_contexts_of_one_register(version, context):
    register = "Energy.Active.Import.Register"
    both = [{"measurand": register, "context": context, **number(version, 1500)}, {"measurand": register, "context": "Transaction.Begin", **number(version, 0)}]
    samples, notes = adapt("ocpp", [encoded(version, both), encoded(version, both[::-1])])
    assert [sample["energy_imported_wh"] for sample in samples] == [1500, 1500] and set(notes) == {0, 1}


def test_units_and_signed_values_of_the_libraries():
    readings = [
        encoded("1.6", [{"value": "6.9", "measurand": "Power.Active.Import", "unit": "kW"}, {"value": "30313233", "format": "SignedData"}]),
        encoded("1.6", [{"value": " 6900.0", "measurand": "Power.Active.Import"}]),
    ]
    for version in ("2.0.1", "2.1"):
        types = module(version, "datatypes")
        signed = types.SignedMeterValueType(signed_meter_data="T0NNRnw=", signing_method="", encoding_method="OCMF", public_key="")
        unit = types.UnitOfMeasureType(unit="W", multiplier=3)
        readings.append(encoded(version, [{"value": 6.9, "measurand": "Power.Active.Import", "unit_of_measure": unit, "signed_meter_value": signed}]))
    # As its handlers are given them.
    readings += [ocpp.charge_point.camel_to_snake_case(reading) for reading in readings]
    samples, _ = adapt("ocpp", readings)
    assert [sample["active_power_w"] for sample in samples] == [-6900] * 8
    assert all("energy_imported_wh" not in sample for sample in samples)
