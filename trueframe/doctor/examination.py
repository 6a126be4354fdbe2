"""The whole examination: which configuration, then area by area. One check that breaks never hides the others.

What should not be in this module: how findings are shown (`trueframe.commands.doctor`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from mesh.config import Config, load
from mesh.errors import TrueframeError
from mesh.redact import redact
from trueframe.doctor.documents import examine_store
from trueframe.doctor.finding import Area, Finding
from trueframe.doctor.instance import examine_instance
from trueframe.doctor.machine import examine_machine
from trueframe.doctor.programs import examine_programs
from trueframe.doctor.secrets import examine_secrets
from trueframe.layout import layout_of
from trueframe.running import Running
from trueframe.site import running_site, site_of_environment

_config = Area("configuration")


def examine(data: str, config_file: Path | None = None) -> Iterator[Finding]:
    """Findings as they are made.

    The configuration is that of the file, else of $TRUEFRAME_CONFIG, else the last one that `trueframe up` resolved in
    the data folder, else the defaults.
    """
    site: Running | None = None
    try:
        config, where, site = _configuration(data, config_file)
    except TrueframeError as error:
        yield _config.failure("configuration", redact(f"{error.thing} {error.reason}."), redact(error.remedy))
        config = load(None, [f"run.data_dir={layout_of(data).data}"], {})
    else:
        yield _config.ok("configuration", f"{where} can be read.")

    def instance(config: Config) -> Iterator[Finding]:
        return examine_instance(config, site)

    areas: tuple[tuple[str, Callable[[Config], Iterator[Finding]]], ...] = (
        ("machine", examine_machine),
        ("programs", examine_programs),
        ("secrets", examine_secrets),
        ("store", examine_store),
        ("instance", instance),
    )
    for name, area in areas:
        yield from guarded(name, area, config)


def _configuration(data: str, config_file: Path | None) -> tuple[Config, str, Running | None]:
    layout = layout_of(data)
    if config_file is not None:
        return load(config_file), str(config_file), None
    if (site := site_of_environment()) is not None:
        return site, "that of $TRUEFRAME_CONFIG", running_site(site)
    if layout.config.exists():
        return load(layout.config), str(layout.config), None
    return load(None, [f"run.data_dir={layout.data}"]), "that of the defaults", None


def guarded(name: str, area: Callable[[Config], Iterator[Finding]], config: Config) -> Iterator[Finding]:
    """Findings of an area; one that breaks off says so as a finding."""
    try:
        yield from area(config)
    except Exception as error:
        text = redact(f"could not be examined to the end: {type(error).__name__}: {error}.")
        yield Area(name).failure(name, text, "Please report this.")
