"""What is drawn on pictures for people: boxes with their labels, and strips of text beneath. Pure.

Pictures that were drawn on are never evidence, and say so. What should not be in this module: getting pictures
(`contact_sheet`, `viewing_copy`).
"""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from mesh.box_drawing import draw_boxes, font

__all__ = [
    "BACKGROUND", "draw_boxes", "fitting", "font", "grey", "line_height", "strip_height", "with_strip",
]  # fmt: skip

BACKGROUND = (24, 24, 24)
_TEXT = (230, 230, 230)
_WARNING = (255, 200, 0)


def strip_height(picture_height: int) -> int:
    """Height of a strip of two lines beneath a picture, even."""
    return 2 * line_height(picture_height) + 8 & ~1


def line_height(picture_height: int) -> int:
    """Height of a line of text that suits a picture."""
    return max(14, picture_height // 26)


def with_strip(picture: Image.Image, lines: Sequence[str], warning: str = "") -> Image.Image:
    """The picture with text beneath it, cut to its width; the `warning` stands first and stands out."""
    height = line_height(picture.height)
    whole = Image.new("RGB", (picture.width, picture.height + strip_height(picture.height)), BACKGROUND)
    whole.paste(picture, (0, 0))
    pen = ImageDraw.Draw(whole)
    letters = font(height - 4)
    for number, line in enumerate(lines[:2]):
        x, y = 6.0, picture.height + 4 + number * height
        if number == 0 and warning:
            pen.text((x, y), warning, font=letters, fill=_WARNING)
            x += pen.textlength(warning + "   ", font=letters)
        pen.text((x, y), fitting(line, letters, picture.width - x - 6), font=letters, fill=_TEXT)
    return whole


def fitting(text: str, letters: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """As much of a text as fits into a width; what is cut is told by an ellipsis."""
    if letters.getlength(text) <= width:
        return text
    while text and letters.getlength(text + "...") > width:
        text = text[:-1]
    return text + "..." if text else ""


def grey(picture: Image.Image) -> Image.Image:
    """A picture that is not of now: dark and without colour."""
    return picture.convert("L").point(lambda value: value * 0.35).convert("RGB")
