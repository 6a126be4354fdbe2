"""What workers offer: an outsider's detector is checked and judged by its own words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aggregate.archive import Archive
from aggregate.errors import BadInspection
from aggregate.offers import Offer, Offers, OptionInfo, offer_document, offer_from_document, offer_from_proto
from aggregate.orders import Order
from aggregate.rules import RULES, UNKNOWN, Rules
from detector_pool.detector import DetectorType, Judging
from detector_pool.motion import Motion
from detector_pool.options import Option
from detector_pool.registry import detector_types
from detector_pool.wire import offer_to_proto
from mesh.errors import InvalidArgument
from mesh.store import SqliteStore

LOITERING = DetectorType(
    "loitering", "3", "Who stays.", lambda setup: Motion(), Judging(0.4, 0.5, 1_000_000_000, 5_000_000_000),
    (
        Option("sensitivity", 0.5, "How little is enough.", low=0.0, high=1.0),
        Option("classes", ["person"], "What counts.", choices=("person", "car")),
        Option("name", "", "A name."),
    ),
    needs_model=True,
)  # fmt: skip


def offers() -> Offers:
    known = Offers()
    known.heard([offer_from_proto(offer_to_proto(LOITERING))])
    return known


def order(options: str, detector: str = "loitering") -> Order:
    return Order("gate.x", "gate", detector, options=options)


def test_an_outsiders_detector_is_judged_as_its_worker_says() -> None:
    assert offers().rules("loitering") == Rules(0.4, 0.5, 1_000_000_000, 5_000_000_000)
    assert offers().needs_model("loitering")
    assert Offers().rules("loitering") == UNKNOWN


def test_our_own_detectors_are_judged_by_the_same_numbers_with_and_without_a_worker() -> None:
    known = Offers()
    known.heard(offer_from_proto(offer_to_proto(kind)) for kind in detector_types().values())
    assert {name: known.rules(name) for name in RULES} == RULES


def test_options_that_it_knows_are_taken() -> None:
    offers().check(order('sensitivity = 1\nclasses = ["car"]\nname = "x"'))
    offers().check(order(""))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("sensitivty = 0.5", "Did you mean sensitivity?"),
        ("colour = 1", "There are: classes, name, sensitivity"),
        ("sensitivity = 2", "at most 1"),
        ('sensitivity = "much"', "must be a number"),
        ("sensitivity = true", "must be a number"),
        ("sensitivity = nan", "finite"),
        ('classes = ["dog"]', "must be one of person, car"),
        ("classes = [1]", "list of texts"),
        ("sensitivity = ", "cannot be read"),
    ],
)
def test_options_that_it_does_not_know_are_refused_with_the_offers_own_list(options: str, words: str) -> None:
    with pytest.raises(BadInspection, match=words.replace("?", r"\?")):
        offers().check(order(options))


def test_models_that_options_name_are_known_each_once_and_checked_by_the_detectors_they_are_for() -> None:
    known = Offers()
    known.heard(offer_from_proto(offer_to_proto(kind)) for kind in detector_types().values())

    def with_sources(*sources: str) -> Order:
        return order(f'rules = "a: object"\nsources = {json.dumps(sources)}', "rules")

    wanted = with_sources("objects@yolox-nano", "pose@movenet", "motion", "objects@signs", "objects@signs")
    known.check(wanted)
    named = (("objects", "yolox-nano"), ("pose", "movenet"), ("objects", "signs"))
    assert known.named_models(wanted) == named
    # As they are known again from the store.
    again = Offers()
    again.heard(offer_from_document(name, offer_document(known._offers[name])) for name in ("rules", "objects"))
    assert again.named_models(wanted) == named
    assert known.named_models(order('x = "a@b"', "motion")) == known.named_models(order("sources = ", "rules")) == ()
    for source, words in (
        ("motion@x", "gives a model to motion, which takes none"),
        ("objcts@x", "names the detector 'objcts'"),
        ("objects@Yolo Nano", "names the model 'Yolo Nano'"),
    ):
        with pytest.raises(BadInspection, match=words):
            known.check(with_sources(source))


def test_a_detector_that_no_worker_knows_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(BadInspection, match=r"loitering, motion.* signal"):
        offers().check(order("", "smell"))


def test_an_offer_out_of_bounds_is_refused() -> None:
    message = offer_to_proto(LOITERING)
    message.threshold = 7
    with pytest.raises(InvalidArgument):
        offer_from_proto(message)


async def test_offers_outlive_the_process_and_only_news_are_news(tmp_path: Path) -> None:
    offer = Offer("loitering", "3", UNKNOWN, "Who stays.", True, (OptionInfo("a", "number", "0.5", "", 0.0, None),))
    async with SqliteStore(tmp_path / "a.sqlite") as store:
        archive = await Archive.open(store)
        await archive.put_offer(offer)
        again = Offers()
        assert again.heard(await archive.offers()) == [offer]
        assert again.heard([offer]) == []
