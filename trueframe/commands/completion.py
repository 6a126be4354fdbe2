"""`trueframe completion`: shell completion, made by click."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from mesh.errors import InvalidArgument

PLACES = {
    "bash": "~/.local/share/bash-completion/completions/trueframe",
    "zsh": "a folder in $fpath, as _trueframe",
    "fish": "~/.config/fish/completions/trueframe.fish",
}


@click.command("completion")
@click.argument("shell", type=click.Choice(sorted(PLACES)))
def command(shell: str) -> None:
    """Print the completion script of SHELL.

    bash: trueframe completion bash > ~/.local/share/bash-completion/completions/trueframe
    """
    from trueframe.__main__ import cli

    kind = get_completion_class(shell)
    if kind is None:
        raise InvalidArgument(f'shell "{shell}"', "has no completion", f"Choose one of {', '.join(PLACES)}")
    click.echo(kind(cli, {}, "trueframe", "_TRUEFRAME_COMPLETE").source())
