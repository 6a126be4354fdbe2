"""Asks a simulated device with onvif-zeep-async, a client of somebody else; a process of its own, as it warns a lot.

python ask_with_onvif_zeep.py PORT USER PASSWORD
"""

from __future__ import annotations

import asyncio
import datetime
import json
import sys
from pathlib import Path

import onvif


async def main(port: int, user: str, password: str) -> dict[str, object]:
    camera = onvif.ONVIFCamera("127.0.0.1", port, user, password, str(Path(onvif.__file__).parent / "wsdl"))
    try:
        await camera.update_xaddrs()
        management = await camera.create_devicemgmt_service()
        time = (await management.GetSystemDateAndTime()).UTCDateTime
        date, clock = time.Date, time.Time
        told = datetime.datetime(
            date.Year, date.Month, date.Day, clock.Hour, clock.Minute, clock.Second, tzinfo=datetime.UTC
        )
        information = await management.GetDeviceInformation()
        media = await camera.create_media_service()
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        profiles = []
        for profile in await media.GetProfiles():
            encoder = profile.VideoEncoderConfiguration
            uri = await media.GetStreamUri({"StreamSetup": setup, "ProfileToken": profile.token})
            size, rate = encoder.Resolution, encoder.RateControl.FrameRateLimit
            profiles.append([profile.token, profile.Name, encoder.Encoding, size.Width, size.Height, rate, uri.Uri])
        clock_s = (told - datetime.datetime.now(datetime.UTC)).total_seconds()
        return {"model": information.Model, "profiles": profiles, "clock_s": clock_s}
    finally:
        await camera.close()


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))))
