#!/usr/bin/env bash
# A SunSpec device that leaves a scale factor out: what its values are worth to pysunspec2 1.3.7 and pysunspec 2.1.1.
#
# Guess: a value whose scale factor is 0x8000, not implemented, has no computed value, or asks for it raises.
# Seen:  both take the exponent for 0. A meter of model 203, whose Hz is mandatory and whose Hz_SF is optional, measures
#        5001 Hz; a battery of model 802, whose W is mandatory and whose W_SF is optional, gives 300 W for 3 kW.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check pysunspec2==1.3.7 pysunspec==2.1.1
cat >"$folder/run.py" <<'PYTHON'
import importlib.metadata
import socketserver
import struct
import sys
import threading

import sunspec.core.client as old
import sunspec2.device as definition
import sunspec2.modbus.client as new


def registers(number, **values):
    """A model as a device has it: everything that is not given is not implemented."""
    model = definition.Model(model_id=number, model_def=definition.get_model_def(number))
    length = len(model.get_mb()) // 2 - 2
    for name, point in model.points.items():
        point.value = {"ID": number, "L": length, **values}.get(name)
    return model.get_mb()


class Device(socketserver.BaseRequestHandler):
    """Modbus TCP, reading only, from address 40000."""

    memory = (
        b"SunS"
        + registers(1, Mn="Example", Md="Meter", SN="1")
        + registers(203, W=421, W_SF=1, Hz=5001)
        + registers(802, W=300, SoC=805, SoC_SF=-1)
        + b"\xff\xff\x00\x00"
    )

    def handle(self):
        while len(head := self.request.recv(12)) == 12:
            transaction, _, _, unit, function, address, count = struct.unpack(">HHHBBHH", head)
            first = 2 * (address - 40000)
            if first < 0 or first + 2 * count > len(self.memory):
                body = bytes([function | 0x80, 2])
            else:
                body = bytes([function, 2 * count]) + self.memory[first : first + 2 * count]
            self.request.sendall(struct.pack(">HHHB", transaction, 0, len(body) + 1, unit) + body)


server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Device)
server.daemon_threads = True
threading.Thread(target=server.serve_forever, daemon=True).start()
port = server.server_address[1]

seen = {}
device = new.SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=10)
device.scan()
for model, point in ((203, "W"), (203, "Hz"), (802, "W")):
    seen["pysunspec2", model, point] = device.models[model][0].points[point].cvalue
device = old.SunSpecClientDevice(old.TCP, 1, ipaddr="127.0.0.1", ipport=port, timeout=10)
for model in device.device.models_list:
    model.read_points()
    for point in model.blocks[0].points_list:
        seen["pysunspec", int(model.id), point.point_type.id] = point.value

expected = {(203, "W"): 4210, (203, "Hz"): 5001, (802, "W"): 300}
for library in ("pysunspec2", "pysunspec"):
    print(library, importlib.metadata.version(library), {f"{model}.{point}": seen[library, model, point] for model, point in expected})
for model, point, scale in ((203, "Hz", "Hz_SF"), (802, "W", "W_SF")):
    points = {entry["name"]: entry for entry in definition.get_model_def(model)["group"]["points"]}
    mandatory = points[point].get("mandatory"), points[scale].get("mandatory")
    print(f"model {model}: {point} mandatory {mandatory[0] == 'M'}, {scale} mandatory {mandatory[1] == 'M'}")
    if mandatory != ("M", None):
        sys.exit("the definition has changed")
if any(seen[library, *key] != value for library in ("pysunspec2", "pysunspec") for key, value in expected.items()):
    sys.exit("the behaviour has changed")
PYTHON
"$folder/venv/bin/python" "$folder/run.py"
