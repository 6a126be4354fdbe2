"""Makes the pictures of the guide: a simulated instance, the terminal view in tmux, a browser that draws the pane.

    python docs/make_pictures.py            # needs tmux and chromium; writes docs/pictures/*.png

What the pane holds is taken as it is (`tmux capture-pane -e`); nothing is retouched.
"""

from __future__ import annotations

import html
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from mesh.ids import FrameId  # noqa: E402
from tests.embedded import embedded  # noqa: E402 - only runs from the tree
from tests.support import until  # noqa: E402
from tests.tmux import in_tmux  # noqa: E402

PICTURES = ROOT / "docs" / "pictures"
COLUMNS, LINES = 150, 42
CELL_WIDTH, CELL_HEIGHT = 7, 14
STYLE = f"""
body {{ margin: 0; background: #101010; }}
pre {{ margin: 0; font: 12px/{CELL_HEIGHT}px 'DejaVu Sans Mono', 'Noto Sans Mono', monospace; color: #a8a8a8; }}
pre i {{ display: inline-block; width: {CELL_WIDTH}px; height: {CELL_HEIGHT}px; font-style: normal; overflow: hidden;
  vertical-align: top; text-align: center; }}
"""
SGR = re.compile(r"\x1b\[([\d;]*)m")


def cells(line: str) -> list[tuple[str, str, str, bool]]:
    """Character, foreground, background and boldness of each cell of a line with its escape sequences."""
    found: list[tuple[str, str, str, bool]] = []
    fore, back, bold, at = "#a8a8a8", "#101010", False, 0
    for match in [*SGR.finditer(line), None]:
        found += [(char, fore, back, bold) for char in line[at : match.start() if match else len(line)]]
        if match is None:
            return found
        at = match.end()
        codes = [int(code or 0) for code in match[1].split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                fore, back, bold = "#a8a8a8", "#101010", False
            elif code == 1:
                bold = True
            elif code in (38, 48) and codes[:1] == [2]:
                colour = "#{:02x}{:02x}{:02x}".format(*codes[1:4])
                fore, back = (colour, back) if code == 38 else (fore, colour)
                codes = codes[4:]
    return found


def page(ansi: str) -> str:
    """The pane as a page; half blocks are drawn as the two pixels that they are."""
    lines = []
    for line in ansi.split("\n"):
        parts = []
        for char, fore, back, bold in cells(line):
            if char == "▀":
                parts.append(f'<i style="background:linear-gradient({fore} 50%,{back} 50%)"></i>')
            else:
                weight = ";font-weight:bold" if bold else ""
                parts.append(f'<i style="color:{fore};background:{back}{weight}">{html.escape(char)}</i>')
        lines.append("".join(parts))
    return f"<meta charset=utf-8><style>{STYLE}</style><pre>{chr(10).join(lines)}</pre>"


def draw(ansi: str, picture: Path) -> None:
    """Writes a pane as PNG."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "pane.html"
        source.write_text(page(ansi))
        subprocess.run(
            [
                "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
                f"--window-size={COLUMNS * CELL_WIDTH},{LINES * CELL_HEIGHT}", f"--user-data-dir={folder}/browser",
                f"--screenshot={picture}", source.as_uri(),
            ],
            check=True, capture_output=True, timeout=120,
        )  # fmt: skip


def main() -> None:
    """All pictures."""
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, embedded(Path(folder) / "data", "--simulate", "4") as instance:
        command = [sys.executable, "-m", "tui", "--data", str(instance.data)]
        with instance.client() as client, in_tmux(command, COLUMNS, LINES) as pane:
            pane.until("4/4 live", 120)
            until(lambda: len(client.events.list(cameras=["cam-1"])) > 0, 120, "the intrusion")
            pane.until(" RTN ", 120)
            pane.press("Tab")
            draw(pane.ansi, PICTURES / "wall.png")
            (event, *_) = client.events.list(cameras=["cam-1"])
            client.events.comment(event.id, "Fox at the fence, no action.")
            pane.press("Tab", "Enter")
            pane.until("ALARMS OF cam-1")
            # Larger pictures than those of the wall are asked for, and come a moment later.
            until(lambda: pane.text.count("▀") > 2500, 30, "a large picture")
            draw(pane.ansi, PICTURES / "camera.png")
            pane.press("Tab", "Enter")
            pane.until("Fox at the fence", 60)
            pane.until(f" {FrameId.from_proto(event.peak)} ", 60)
            pane.press("e")
            pane.until("FIRED  Scored", 60)
            draw(pane.ansi, PICTURES / "alarm.png")
    for picture in sorted(PICTURES.glob("*.png")):
        sys.stdout.write(f"{picture.relative_to(ROOT)}: {picture.stat().st_size} bytes\n")


if __name__ == "__main__":
    main()
