"""The detectors that workers offer: how each is judged, which options it knows, whether it takes a model.

What a worker says of itself when it joins is kept, so that an order can be checked and a verdict judged while no worker
is there. Pure: storing is `archive.py`'s. Of two workers that describe a detector differently the last one counts.
"""

from __future__ import annotations

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from aggregate.errors import BadInspection
from aggregate.orders import Order, is_model_name
from aggregate.rules import RULES, UNKNOWN, Rules
from mesh.errors import InvalidArgument
from trueframe.v1 import inspection_pb2

MAX_OPTIONS = 200
_MILLISECOND = 1_000_000
_LONGEST_MS = 86_400_000
_KINDS: dict[str, tuple[type[Any], ...]] = {
    "yes or no": (bool,), "whole number": (int,), "number": (int, float), "text": (str,), "list of texts": (list,),
    "table": (dict,),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class OptionInfo:
    """An option of a detector."""

    name: str
    kind: str
    default: str
    """As TOML."""
    summary: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    names_models: bool = False
    """Its texts name detectors, and published models behind an @: "objects@yolox-nano"."""

    def problem(self, value: Any) -> str:
        """Why a value will not do, as a part of a sentence; empty if it will."""
        kinds = _KINDS.get(self.kind)
        if kinds is None:
            return ""
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            return f"must be a {self.kind}, not {value!r:.60}"
        if kinds == (list,) and not all(isinstance(one, str) for one in value):
            return "must be a list of texts"
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value):
                return "must be finite"
            if self.low is not None and value < self.low:
                return f"must be at least {self.low:g}, not {value!r}"
            if self.high is not None and value > self.high:
                return f"must be at most {self.high:g}, not {value!r}"
        named: list[Any] = value if isinstance(value, list) else [value]
        if self.choices and any(one not in self.choices for one in named):
            return f"must be one of {', '.join(self.choices)}, not {value!r:.60}"
        return ""


@dataclass(frozen=True, slots=True)
class Offer:
    """A detector that a worker can run."""

    name: str
    version: str
    rules: Rules
    summary: str = ""
    needs_model: bool = False
    options: tuple[OptionInfo, ...] = ()


class Offers:
    """All detectors that were ever offered, by name; motion and signal from the beginning."""

    def __init__(self) -> None:
        self._offers: dict[str, Offer] = {}

    def heard(self, offers: Iterable[Offer]) -> list[Offer]:
        """A worker's offers; returns those that are news."""
        news = [offer for offer in offers if self._offers.get(offer.name) != offer]
        self._offers |= {offer.name: offer for offer in news}
        return news

    @property
    def names(self) -> list[str]:
        """All detectors, sorted."""
        return sorted({*RULES, *self._offers})

    def needs_model(self, detector: str) -> bool:
        """Whether it cannot run without a model."""
        offer = self._offers.get(detector)
        return offer is not None and offer.needs_model

    def takes_models(self, detector: str) -> bool:
        """Whether it runs other detectors, with models that its options name."""
        offer = self._offers.get(detector)
        return offer is not None and any(option.names_models for option in offer.options)

    def named_models(self, order: Order) -> tuple[tuple[str, str], ...]:
        """Models that its options name, each once: detector, model."""
        offer = self._offers.get(order.detector)
        if offer is None or "@" not in order.options:
            return ()
        return _named(order.options, tuple(option.name for option in offer.options if option.names_models))

    def rules(self, detector: str) -> Rules:
        """How its verdicts are judged."""
        offer = self._offers.get(detector)
        return offer.rules if offer is not None else RULES.get(detector, UNKNOWN)

    def check(self, order: Order) -> None:
        """Raises BadInspection: there is no such detector, or it does not know these options."""
        thing = f"inspection {order.id[:80]!r}"
        if order.detector not in self.names:
            remedy = f"There are: {', '.join(self.names)}."
            raise BadInspection(thing, f"names the detector {order.detector!r}, which no worker knows", remedy)
        given = read_options(thing, order.options)
        offer = self._offers.get(order.detector)
        if offer is None:
            return
        known = {option.name: option for option in offer.options}
        for name, value in given.items():
            option = known.get(name)
            if option is None:
                there_are = f"There are: {', '.join(sorted(known))}." if known else "It has none."
                near = difflib.get_close_matches(name, known, 1)
                remedy = f"Did you mean {near[0]}? {there_are}" if near else there_are
                raise BadInspection(thing, f"gives detector {order.detector} the option {name!r:.60}", remedy)
            if problem := option.problem(value) or self._problem_of_models(option, value):
                raise BadInspection(f"option {name} of {thing}", problem, option.summary)

    def _problem_of_models(self, option: OptionInfo, value: Any) -> str:
        for one in value if option.names_models and isinstance(value, list) else ():
            detector, at, model = one.partition("@")
            if detector not in self.names:
                return f"names the detector {detector!r:.60}, which no worker knows; there are {', '.join(self.names)}"
            if at and not self.needs_model(detector):
                return f"gives a model to {detector}, which takes none"
            if at and not is_model_name(model):
                return f"names the model {model!r:.60}; small letters, digits, '.' and '-' make a name"
        return ""


@lru_cache(maxsize=1024)
def _named(document: str, options: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    try:
        given = read_options("", document)
    except BadInspection:
        return ()
    texts = [one for name in options if isinstance(given.get(name), list) for one in given[name]]
    parts = [one.partition("@") for one in texts if isinstance(one, str)]
    return tuple(dict.fromkeys((detector, model) for detector, _, model in parts if model))


def read_options(thing: str, document: str) -> dict[str, Any]:
    """Options of an order. Raises BadInspection."""
    try:
        return tomllib.loads(document)
    except tomllib.TOMLDecodeError as error:
        remedy = 'Write them as TOML, one `name = value` in a line; texts stand in "quotation marks".'
        raise BadInspection(f"options of {thing}", f"cannot be read: {error}", remedy) from None


def offer_from_proto(message: inspection_pb2.DetectorOffer) -> Offer:
    """What a worker says. Raises InvalidArgument."""
    numbers = (message.threshold, message.closing_share)
    times_ms = (message.min_duration_ms, message.merge_gap_ms)
    is_sound = all(0.0 < number <= 1.0 for number in numbers) and all(0 <= ms <= _LONGEST_MS for ms in times_ms)
    if not is_sound or not 0 < len(message.name) <= 40 or len(message.options) > MAX_OPTIONS:
        raise InvalidArgument(f"offer of detector {message.name[:40]!r}", "is out of bounds")
    rules = Rules(
        round(message.threshold, 6),
        round(message.closing_share, 6),
        message.min_duration_ms * _MILLISECOND,
        message.merge_gap_ms * _MILLISECOND,
    )
    options = tuple(
        OptionInfo(
            one.name[:60], one.kind, one.default_value[:1000], one.summary[:500],
            one.low if one.HasField("low") else None, one.high if one.HasField("high") else None, tuple(one.choices),
            one.names_models,
        )
        for one in message.options
    )  # fmt: skip
    return Offer(message.name, message.version[:40], rules, message.summary[:500], message.needs_model, options)


def offer_document(offer: Offer) -> dict[str, Any]:
    """The offer as a JSON object."""
    rules = offer.rules
    return {
        "version": offer.version,
        "summary": offer.summary,
        "needs_model": offer.needs_model,
        "threshold": rules.threshold,
        "closing_share": rules.closing_share,
        "min_duration_ns": rules.min_duration_ns,
        "merge_gap_ns": rules.merge_gap_ns,
        "options": [
            [one.name, one.kind, one.default, one.summary, one.low, one.high, list(one.choices), one.names_models]
            for one in offer.options
        ],
    }


def offer_from_document(name: str, body: Mapping[str, Any]) -> Offer:
    """The inverse of `offer_document`."""
    rules = Rules(body["threshold"], body["closing_share"], body["min_duration_ns"], body["merge_gap_ns"])
    options = tuple(
        # Documents of before say nothing of models.
        OptionInfo(option, kind, default, summary, low, high, tuple(choices), any(rest))
        for option, kind, default, summary, low, high, choices, *rest in body["options"]
    )
    return Offer(name, body["version"], rules, body["summary"], body["needs_model"], options)
