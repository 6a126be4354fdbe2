"""Boxes with their labels, drawn on pictures for people. Pure; pictures that were drawn on are never evidence.

What does not belong here: anything else that is drawn (`trueframe.drawing`), and getting pictures.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol

from PIL import Image, ImageDraw, ImageFont

_BOX = (255, 60, 0)


class Drawable(Protocol):
    """A box in fractions of the picture, as events have it."""

    @property
    def x(self) -> float:
        """Left edge."""
        ...

    @property
    def y(self) -> float:
        """Upper edge."""
        ...

    @property
    def width(self) -> float:
        """Its width."""
        ...

    @property
    def height(self) -> float:
        """Its height."""
        ...

    @property
    def label(self) -> str:
        """What it shows; empty for nothing."""
        ...

    @property
    def score(self) -> float:
        """How sure that is; 0 for not said."""
        ...


@lru_cache(maxsize=32)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The typeface that comes with the drawing library, so high in pixels."""
    return ImageFont.load_default(size)


def draw_boxes(picture: Image.Image, boxes: Iterable[Drawable]) -> None:
    """Frames with label and score around what a detector pointed at. Boxes are fractions of the picture."""
    pen = ImageDraw.Draw(picture)
    width = max(2, picture.width // 320)
    letters = font(max(11, picture.height // 30))
    for box in boxes:
        left, top = box.x * picture.width, box.y * picture.height
        right = min(left + max(box.width * picture.width, 1), picture.width - 1)
        bottom = min(top + max(box.height * picture.height, 1), picture.height - 1)
        if right < left or bottom < top:
            continue  # lies outside the picture
        pen.rectangle((left, top, right, bottom), outline=_BOX, width=width)
        text = " ".join(filter(None, (box.label, f"{box.score:.2f}" if box.score else "")))
        if text:
            _, _, text_width, text_height = pen.textbbox((0, 0), text, font=letters)
            y = top - text_height - 4 if top > text_height + 4 else top + width
            pen.rectangle((left, y, left + text_width + 6, y + text_height + 4), fill=_BOX)
            pen.text((left + 3, y), text, font=letters, fill=(0, 0, 0))
