"""`trueframe cameras mask`: parts of a camera's picture that most people do not get to see.

What should not be in this module: who sees them (`mesh.tokens`), reading polygons (`trueframe.region_text`).
"""

from __future__ import annotations

import click

from mesh.errors import InvalidArgument, NotFound
from trueframe.commands.options import data_option, json_option, show_json, show_table


@click.command("mask")
@click.argument("camera")
@click.option("--add", "added", multiple=True, metavar='"NAME: X,Y X,Y X,Y"', help="Cover a polygon, or replace it.")
@click.option("--remove", "removed", multiple=True, metavar="NAME", help="Uncover a polygon.")
@click.option("--clear", "is_cleared", is_flag=True, help="Uncover all of them.")
@json_option
@data_option
def mask(
    data: str, camera: str, added: tuple[str, ...], removed: tuple[str, ...], is_cleared: bool, as_json: bool
) -> None:
    """Show or change the privacy masks of CAMERA: corners in fractions of width and height, from the upper left.

    Viewers and operators see them covered in every picture, of earlier footage too, and get no packets and no exact
    files of the camera. What is recorded stays as it is.
    """
    from trueframe.client import connect
    from trueframe.region_text import read_text
    from trueframe.v1.cameras_pb2 import MaskCorner, PrivacyMask

    if is_cleared and removed:
        raise InvalidArgument("--remove", "is nothing beside --clear", "Leave one of both out.")
    drawn = [read_text("ignore", text) for text in added]
    with connect(data) as tf:
        found = tf.broker.get_camera(camera)
        masks = {} if is_cleared else {one.name: one for one in found.masks}
        for name in removed:
            if masks.pop(name, None) is None:
                raise NotFound(f"privacy mask {name!r} of camera {camera!r}", "is not there")
        for one in drawn:
            masks[one.name] = PrivacyMask(name=one.name, corners=[MaskCorner(x=x, y=y) for x, y in one.corners])
        if is_cleared or removed or drawn:
            found = tf.broker.set_privacy_masks(camera, masks.values())
    rows = [(one.name, [(round(at.x, 4), round(at.y, 4)) for at in one.corners]) for one in found.masks]
    if as_json:
        show_json({"camera": camera, "masks": [{"name": name, "corners": corners} for name, corners in rows]})
    elif rows:
        show_table(("MASK", "CORNERS"), [(name, " ".join(f"{x:g},{y:g}" for x, y in at)) for name, at in rows])
    else:
        click.echo(f"{camera}: no privacy masks")
