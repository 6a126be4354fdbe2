# ruff: noqa: RUF009 - `option` returns a dataclass field; its doc belongs beside its default.
"""The section `notifications` of the configuration: to whom alarms are told outside of trueframe, and when.

Secrets are never in here: each channel names files, mode 0600, that hold them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mesh.config_option import option
from mesh.errors import InvalidArgument
from mesh.schedule import parse_window

_DAY_S = 86_400.0
_ID = re.compile(r"[a-z0-9-]{1,30}")
OCCASIONS = ("raise", "escalate", "return")


@dataclass(frozen=True, slots=True)
class NotificationChannel:
    """A way to people or programs outside of trueframe."""

    id: str = option("", "Its id, [a-z0-9-]{1,30}. Rules name it.")
    kind: str = option("webhook", "What it is.", one_of=("webhook", "email", "mqtt", "command"))
    url: str = option("", "Webhook: where to post to, http:// or https://.")
    url_file: Path | None = option(None, "Webhook: a file, mode 0600, with the URL, where the URL itself is a secret.")
    form: str = option("plain", "Webhook: what is posted.", one_of=("plain", "discord", "slack"))
    allow_private: bool = option(False, "Webhook: the address may be one of this machine or of a private network.")
    host: str = option("", "E-mail and MQTT: the server.")
    port: int = option(0, "Its port; 0: 587, or 465 with tls (e-mail); 1883, or 8883 with tls (MQTT).", at_least=0,
                       at_most=65_535)  # fmt: skip
    security: str = option(
        "", "E-mail: starttls, tls or none; MQTT: tls or none. Default: starttls, and tls.",
        one_of=("", "starttls", "tls", "none"),
    )  # fmt: skip
    ca_file: Path | None = option(None, "Certificates that are believed. Default: those of the machine.")
    user: str = option("", "E-mail and MQTT: whom to log in as. Default: nobody.")
    secret_file: Path | None = option(
        None, "File, mode 0600, with the password (e-mail, MQTT), or with what a webhook is signed by."
    )
    sender: str = option("", "E-mail: the address it comes from.")
    recipients: tuple[str, ...] = option((), "E-mail: the addresses it goes to.")
    topic: str = option("trueframe/alarms", "MQTT: the topic.")
    argv: tuple[str, ...] = option((), "Command: the program and its arguments; no shell is between.")
    timeout_s: float = option(20.0, "Longest time for one attempt.", at_least=0.1, at_most=600)
    still: bool = option(True, "Send the picture of the alarm with its boxes, where the channel can carry it.")
    still_wait_s: float = option(5.0, "Longest wait for that picture.", at_least=0, at_most=60)
    queue: int = option(500, "So many deliveries may wait for it.", at_least=1, at_most=100_000)
    give_up_after_s: float = option(
        _DAY_S, "What could not be delivered for so long is given up.", at_least=1, at_most=30 * _DAY_S
    )
    longest_wait_s: float = option(60.0, "Longest pause between two attempts.", at_least=0.05, at_most=3600)


@dataclass(frozen=True, slots=True)
class NotificationRule:
    """Which alarms are told to which channels. What is left empty lets everything through."""

    id: str = option("", "Its id, [a-z0-9-]{1,30}.")
    channels: tuple[str, ...] = option((), "Ids of the channels that are told.")
    on: tuple[str, ...] = option(("raise", "escalate"), "What is told of an alarm: raise, escalate, return.")
    priorities: tuple[int, ...] = option((), "Priorities, 1 (highest) to 4.", at_least=1, at_most=4)
    cameras: tuple[str, ...] = option((), 'Ids of cameras; `*` stands for any characters: "north-*".')
    groups: tuple[str, ...] = option((), "Groups of cameras.")
    regions: tuple[str, ...] = option((), "Names of regions: the alarm was in one of them.")
    kinds: tuple[str, ...] = option((), "anomaly, camera, system.")
    detectors: tuple[str, ...] = option((), "Detectors, without version; of system alarms SERVICE.CONDITION.")
    schedule: tuple[str, ...] = option((), 'Only of alarms in that time: "mon-fri 08:00-18:00". Default: always.')
    quiet: tuple[str, ...] = option((), "Quiet hours: what comes in them is told together at their end.")
    lasting_s: float = option(0.0, "Only alarms whose condition holds for so long.", at_least=0, at_most=_DAY_S)
    at_most: int = option(10, "So many within `within_s` are told one by one, the others together; 0: all one by one.",
                          at_least=0, at_most=1000)  # fmt: skip
    within_s: float = option(600.0, "That time.", at_least=1, at_most=_DAY_S)
    unacknowledged_s: float = option(
        0.0, "An alarm that nobody acknowledged for so long is told to `then`; 0 for never.", at_least=0, at_most=_DAY_S
    )
    then: tuple[str, ...] = option((), "Ids of the channels that are told next.")


@dataclass(frozen=True, slots=True)
class NotificationsConfig:
    """To whom alarms are told outside of trueframe."""

    keep_days: float = option(30.0, "The log of deliveries is kept for so long.", at_least=1, at_most=3660)
    forget_after_s: float = option(
        _DAY_S, "What happened longer ago than this is not told any more when the event center comes back.",
        at_least=60, at_most=30 * _DAY_S,
    )  # fmt: skip
    channels: tuple[NotificationChannel, ...] = option((), "Channels.")
    rules: tuple[NotificationRule, ...] = option((), "Rules.")


def absolute_notifications(config: NotificationsConfig) -> NotificationsConfig:
    """With absolute paths."""
    return replace(config, channels=tuple(
        replace(one, url_file=one.url_file and one.url_file.absolute(), ca_file=one.ca_file and one.ca_file.absolute(),
                secret_file=one.secret_file and one.secret_file.absolute())
        for one in config.channels
    ))  # fmt: skip


def check_notifications(config: NotificationsConfig) -> None:
    """Raises InvalidArgument: a bad id, one that is there twice, a channel that lacks something, a rule to nobody."""
    channels = _ids("notifications.channels", [one.id for one in config.channels])
    for number, channel in enumerate(config.channels):
        if problem := _lacking(channel):
            raise InvalidArgument(f"notifications.channels[{number}]: {channel.id}", problem)
    _ids("notifications.rules", [one.id for one in config.rules])
    for number, rule in enumerate(config.rules):
        where = f"notifications.rules[{number}]: {rule.id}"
        if not rule.channels:
            raise InvalidArgument(where, "names no channels")
        if unknown := [one for one in (*rule.channels, *rule.then) if one not in channels]:
            raise InvalidArgument(where, f"names the channel {unknown[0][:40]!r}, which there is not",
                                  f"Known: {', '.join(sorted(channels)) or 'none'}.")  # fmt: skip
        if unknown := [one for one in rule.on if one not in OCCASIONS]:
            raise InvalidArgument(where, f"tells on {unknown[0][:40]!r}", f"Known: {', '.join(OCCASIONS)}.")
        if unknown := [one for one in rule.kinds if one not in ("anomaly", "camera", "system")]:
            raise InvalidArgument(where, f"names the kind {unknown[0][:40]!r}", "Known: anomaly, camera, system.")
        if bool(rule.then) != bool(rule.unacknowledged_s):
            raise InvalidArgument(where, "has one of `then` and `unacknowledged_s`", "Give both, or neither.")
        for text in (*rule.schedule, *rule.quiet):
            parse_window(text)


def _ids(section: str, ids: Sequence[str]) -> set[str]:
    seen: set[str] = set()
    for number, one in enumerate(ids):
        if not _ID.fullmatch(one):
            raise InvalidArgument(
                f"{section}[{number}]: id {one[:40]!r}", "is not 1 to 30 characters out of a-z, 0-9, -"
            )
        if one in seen:
            raise InvalidArgument(f"{section}[{number}]: id {one!r}", "is there twice", "Give each its own.")
        seen.add(one)
    return seen


def _lacking(channel: NotificationChannel) -> str:
    match channel.kind:
        case "webhook":
            if bool(channel.url) == (channel.url_file is not None):
                return "needs either url or url_file"
            if channel.url and not channel.url.startswith(("http://", "https://")):
                return "has a url that is neither http:// nor https://"
        case "email":
            if not (channel.host and channel.sender and channel.recipients):
                return "needs host, sender and recipients"
            for address in (channel.sender, *channel.recipients):
                if "@" not in address or not address.isprintable() or " " in address:
                    return f"has the address {address[:60]!r}, which is none"
        case "mqtt":
            if not channel.host:
                return "needs a host"
            if channel.security == "starttls":
                return "has security starttls, which MQTT does not know"
            if not channel.topic or any(one in channel.topic for one in "#+\0"):
                return "has a topic that nothing can be published to"
        case "command":
            if not channel.argv or not channel.argv[0].startswith("/"):
                return "needs argv, the program by its whole path"
    if channel.user and channel.secret_file is None:
        return "has a user and no secret_file"
    if channel.user and channel.security == "none":
        return "would send its password in the clear (security none)"
    return ""
