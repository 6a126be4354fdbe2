"""GStreamer's client as a second witness of what simulated cameras send."""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulator import bitstream, sei, testing
from simulator.jpeg import JpegForm
from simulator.testing import Simulator
from tests.integration.simulator.test_simulator_codecs import in_our_form
from tests.real_peers import DEBIAN_PYTHON, require
from tests.support import until

UNITS = 20
TRAITS = {
    "cam-1": "bframes=2,aggregate,audio=aac",
    "cam-2": "codec=h265,bframes=2,aggregate,mtu=300,auth=digest",
    "cam-3": "codec=mjpeg,restart=8",
    "cam-4": "codec=mjpeg,jpeg_q=40,jpeg_type=0",
    "cam-5": "codec=h265,sloppy=base-path",
}
LOGIN = "anna:s3cret"


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    require("rtsp")
    arguments = ("--auth", LOGIN, "--no-incidents", "--scenes", "yard")
    traits = {"*": "auth=none", **TRAITS}
    with testing.running(len(TRAITS), fps=25, loop_s=2, gop_s=0.4, traits=traits, arguments=arguments) as running:
        yield running


def received(url: str, transport: str, codec: str, folder: Path) -> list[bytes]:
    """Units as GStreamer's depayloader gives them."""
    client = Path(__file__).with_name("gstreamer_client.py")
    url = url.replace("rtsp://", f"rtsp://{LOGIN}@")
    path = folder / "units"
    command = [DEBIAN_PYTHON, str(client), url, transport, codec, str(UNITS), str(path)]
    subprocess.run(command, check=True, timeout=60, env={"PATH": "/usr/bin:/bin", "HOME": str(folder)})
    data, units, at = path.read_bytes(), [], 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "big")
        units.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return units


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("camera", "codec"), [("cam-1", "h264"), ("cam-2", "h265")])
def test_gstreamer_puts_together_the_nal_units_that_were_sent(
    sim: Simulator, tmp_path: Path, camera: str, codec: str, transport: str
) -> None:
    units = received(sim.urls[camera], transport, codec, tmp_path)
    log = {row.number: row.digest for row in sim.log(camera)}
    numbers = [sei.read(unit)[0] for unit in units]
    digests = [hashlib.sha256(bitstream.canonical(bitstream.split(unit))).digest() for unit in units]
    assert numbers == list(range(numbers[0], numbers[0] + UNITS))
    # GStreamer puts the SDP's parameter sets before the first unit, whether or not that carries its own.
    assert digests[1:] == [log[number] for number in numbers[1:]]


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(("camera", "form"), [("cam-3", JpegForm(restart=8)), ("cam-4", JpegForm(40, 0))])
def test_gstreamer_puts_the_same_jpegs_together(
    sim: Simulator, tmp_path: Path, camera: str, form: JpegForm, transport: str
) -> None:
    units = received(sim.urls[camera], transport, "mjpeg", tmp_path)
    connection = sim.status()[camera]["plays"]
    rows = [row.digest for row in sim.log(camera) if row.connection == connection]
    assert [hashlib.sha256(in_our_form(unit, form)).digest() for unit in units] == rows[:UNITS]


def test_gstreamer_is_led_astray_by_a_wrong_base_and_a_broker_is_not(sim: Simulator, tmp_path: Path) -> None:
    """The trait is one that a well-known client does not survive."""
    with pytest.raises(subprocess.CalledProcessError):
        received(sim.urls["cam-5"], "tcp", "h265", tmp_path)
    until(lambda: sim.status()["cam-5"]["describes"] > 0, 5)
    assert sim.status()["cam-5"]["plays"] == 0
