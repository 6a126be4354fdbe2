"""The `trueframe` command: names of its commands, and how errors reach a user.

Each command lives in a module of `trueframe.commands` that is imported when it is asked for, so that help is instant.
What should not be in this module: what a command does.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

COMMANDS = {
    "up": ("trueframe.commands.up", "Run everything on this machine and watch SOURCES."),
    "status": ("trueframe.commands.status", "Say how everything is."),
    "doctor": ("trueframe.commands.doctor", "Examine machine and instance, and say what to do."),
    "support-bundle": ("trueframe.commands.support_bundle", "Write one file for support, without secrets."),
    "tui": ("trueframe.commands.view", "Open the terminal wall of a running instance."),
    "cameras": ("trueframe.commands.cameras", "List, add, remove and watch cameras."),
    "subscriptions": ("trueframe.commands.subscriptions", "List who reads live frames, and what each did not get."),
    "events": ("trueframe.commands.events", "List, show, watch, acknowledge and comment events."),
    "notify": ("trueframe.commands.notify", "Say who is told of alarms, try it, and show what was told."),
    "report": ("trueframe.commands.report", "Report what happened in a time, as text, HTML or CSV."),
    "handover": ("trueframe.commands.handover", "Hand the desk over to the next shift, and take it over."),
    "cases": ("trueframe.commands.cases", "Open, fill, close and export cases: events, clips and notes."),
    "inspections": ("trueframe.commands.inspections", "List, start, stop and change inspections."),
    "models": ("trueframe.commands.models", "Add, try, promote, roll back and compare models."),
    "rules": ("trueframe.commands.rules", "Check rules before they are put into force."),
    "explain": ("trueframe.commands.explain", "Say why a frame raised an alarm, or why not."),
    "health": ("trueframe.commands.health", "Say how a camera's picture is, and where it is heading."),
    "coverage": ("trueframe.commands.coverage", "Say how completely a camera was recorded and inspected."),
    "reinspect": (
        "trueframe.commands.reinspect",
        "Show recorded frames to the detectors again and compare the scores.",
    ),
    "train": ("trueframe.commands.train", "Learn what is normal for a camera from its recorded footage."),
    "evaluate": ("trueframe.commands.evaluate", "Measure a detector on labelled clips that you bring."),
    "observations": ("trueframe.commands.observations", "Write what detectors saw as CSV: scores, boxes, series."),
    "replay": ("trueframe.commands.replay", "Replay recorded frames, byte for byte."),
    "frames": ("trueframe.commands.frames", "List recorded frames one by one, forwards or back."),
    "snapshot": ("trueframe.commands.snapshot", "Save the picture of a live camera or of one recorded frame."),
    "export": ("trueframe.commands.export", "Export an exact range of footage as MP4."),
    "import": ("trueframe.commands.import_footage", "Make footage of a video file, inspect it and report."),
    "storage": ("trueframe.commands.storage", "Say how the disks under the footage are."),
    "contact": ("trueframe.commands.contact", "Put stills of an event, or of a camera, on one picture."),
    "backup": ("trueframe.commands.backup", "Copy footage into a folder, verified; again, what is new."),
    "restore": ("trueframe.commands.restore", "Put the footage of a backup back into an instance that does not run."),
    "access": ("trueframe.commands.access", "Say who looked at, took or changed which footage."),
    "audit": ("trueframe.commands.audit", "Say who changed what and who looked; prove that nothing was altered."),
    "verify": ("trueframe.commands.verify", "Prove that footage, exports and snapshots are what was recorded."),
    "scrub": ("trueframe.commands.scrub", "Compare recorded footage with its digests and seals, now."),
    "keys": ("trueframe.commands.keys", "Show and rotate the keys that sign footage."),
    "retention": ("trueframe.commands.retention", "Show, set and plan how long footage is kept."),
    "holds": ("trueframe.commands.holds", "Keep footage that nothing may delete."),
    "bus": ("trueframe.commands.bus", "Look at messages that could not be taken, retry or drop them."),
    "store": ("trueframe.commands.store", "Move documents between SQLite and MongoDB, and check them."),
    "token": ("trueframe.commands.token", "Create, list and revoke tokens: viewer, operator and so on."),
    "certs": ("trueframe.commands.certs", "Make, renew and check certificates for services and users."),
    "simulate": ("trueframe.commands.simulate", "Serve simulated RTSP cameras."),
    "completion": ("trueframe.commands.completion", "Print the completion script of a shell."),
}
EXIT_OTHER, EXIT_BAD_INPUT, EXIT_NOT_RUNNING, EXIT_NOT_FOUND = 1, 2, 3, 4


class LazyCommands(click.Group):
    """A group whose commands are imported when they are called."""

    def invoke(self, ctx: click.Context) -> object:
        """Runs a command. The reader of a pipe that goes away (head, less) has what it wanted: that is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Nothing more is written, not even what waits in the buffer.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise click.exceptions.Exit(0) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order in which a newcomer needs them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name."""
        if cmd_name not in COMMANDS:
            return None
        module, _ = COMMANDS[cmd_name]
        command: click.Command = importlib.import_module(module).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Writes the list without importing one of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="trueframe", prog_name="trueframe")
def cli() -> None:
    """Watch cameras: every service sees the same true frame.

    `trueframe up --simulate 4` shows it with four simulated cameras; `trueframe up rtsp://HOST/PATH` with yours.
    """


def exit_code_of(error: BaseException) -> int:
    """The exit code that scripts can tell errors apart by."""
    from mesh.errors import InvalidArgument, NotFound, Unavailable

    if isinstance(error, InvalidArgument):
        return EXIT_BAD_INPUT
    if isinstance(error, Unavailable):
        return EXIT_NOT_RUNNING
    if isinstance(error, NotFound):
        return EXIT_NOT_FOUND
    return EXIT_OTHER


def tell(error: BaseException) -> int:
    """Says one line on standard error: the thing, the reason, the remedy; returns the exit code."""
    from mesh.errors import first_known

    known = first_known(error)
    if known is not None:
        text = str(known)
    elif isinstance(error, OSError) and error.strerror:
        text = f"{error.filename or 'operating system'}: {error.strerror}"
    else:
        text = f"unexpected {type(error).__name__}: {error}. TRUEFRAME_DEBUG=1 shows where"
    click.echo(f"trueframe: {' '.join(text.split())}", err=True)
    return exit_code_of(known) if known is not None else EXIT_OTHER


def main() -> None:
    """Runs the command line. No traceback reaches a user unless TRUEFRAME_DEBUG=1 asks for it."""
    try:
        code = cli.main(standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as end:
        sys.exit(end.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        sys.exit(EXIT_BAD_INPUT)
    except click.ClickException as error:
        place = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "trueframe"
        text = " ".join(error.format_message().split()).rstrip(".")
        click.echo(f"trueframe: {text}. `{place} --help` tells more.", err=True)
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        sys.exit(130)
    except SystemExit:
        raise
    except BaseException as error:
        if os.environ.get("TRUEFRAME_DEBUG") == "1":
            raise
        sys.exit(tell(error))


if __name__ == "__main__":
    main()
