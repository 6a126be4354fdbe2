"""Ordinary players, asked what they show of a file: numbers that the bars of pictures spell."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import tempfile
from pathlib import Path

import av

from tests.footage import read_bars
from tests.real_peers import require

_NOBODY = 65534
_TRIES = 5
# A video's first picture holds back the load event, and Chromium prints the page after that.
_PAGE = """<body><video muted preload="auto" src="data:video/mp4;base64,CLIP"></video><script>
window.onload = () => {
  const video = document.querySelector("video");
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [128, 64];
  const context = canvas.getContext("2d");
  context.drawImage(video, 0, 0);
  const row = [...Array(8).keys()].map(bit => context.getImageData(bit * 16 + 8, 32, 1, 1).data[1]);
  document.body.textContent = (video.error ? "error " + video.error.message : "bars ") + row.join(" ");
};
</script></body>"""


def chromium_shows_first(path: Path) -> int:
    """What Chromium shows of a file before anybody presses play. Skips the test where there is no Chromium."""
    require("chromium")
    with tempfile.TemporaryDirectory(prefix="tf-chromium-") as folder:
        page = Path(folder) / "page.html"
        page.write_text(_PAGE.replace("CLIP", base64.b64encode(path.read_bytes()).decode()))
        for _ in range(_TRIES):
            done = subprocess.run(
                ["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder}/profile",
                 "--dump-dom", page.as_uri()],
                capture_output=True, text=True, timeout=90, check=True,
            )  # fmt: skip
            bars = re.search(r"bars ([\d ]+)", done.stdout)
            assert bars is not None, done.stdout[-500:]
            values = [int(value) for value in bars[1].split()]
            if any(values):
                break  # under load the page may be printed before its picture: then it is black, which no bar is
    return sum(1 << bit for bit, value in enumerate(values) if value > 125)


def vlc_shows(path: Path, rate: float = 0.5) -> list[tuple[int, float]]:
    """What VLC puts on a screen that nobody sees, and when, in seconds. Skips the test where there is no VLC."""
    require("vlc")
    with tempfile.TemporaryDirectory(prefix="tf-vlc-") as home:
        clip, stills = Path(home) / path.name, Path(home) / "stills"
        clip.write_bytes(path.read_bytes())
        stills.mkdir()
        command = [
            "cvlc", "-I", "dummy", "--no-audio", "--vout=dummy", "--video-filter=scene", "--scene-format=png",
            "--scene-ratio=1", "--scene-prefix=s", f"--scene-path={stills}", f"--rate={rate}", "--play-and-exit",
            str(clip),
        ]  # fmt: skip
        if os.geteuid() == 0:  # VLC refuses to be root
            for place in (Path(home), stills):
                os.chown(place, _NOBODY, _NOBODY)
            command = ["setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", *command]
        subprocess.run(command, env={**os.environ, "HOME": home}, capture_output=True, timeout=90, check=True)
        shown = []
        for still in sorted(stills.iterdir()):
            with av.open(str(still)) as container:
                picture = next(container.decode(video=0)).to_ndarray(format="gray8")
            shown.append((read_bars(picture), still.stat().st_mtime))
        return shown


def ffprobe_shows(path: Path) -> tuple[list[float], str]:
    """When the pictures of a file are presented, in seconds, and what ffprobe complains about."""
    require("ffmpeg")
    done = subprocess.run(
        ["ffprobe", "-v", "warning", "-show_entries", "frame=pts_time", "-of", "csv=p=0", str(path)],
        capture_output=True, check=True, text=True, timeout=60,
    )  # fmt: skip
    return [float(line.strip(",")) for line in done.stdout.split()], done.stderr
