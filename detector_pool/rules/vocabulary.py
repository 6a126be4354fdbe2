"""The classes that rules may name without quotation marks, and other words for them.

The eighty classes of COCO, on which the usual object detectors are trained, and what other detectors here say. A class
of a model of your own stands in quotation marks.
"""

from __future__ import annotations

from detector_pool.rules.terms import ANY_CLASS

_COCO = """
person, bicycle, car, motorcycle, airplane, bus, train, truck, boat, traffic light, fire hydrant, stop sign,
parking meter, bench, bird, cat, dog, horse, sheep, cow, elephant, bear, zebra, giraffe, backpack, umbrella, handbag,
tie, suitcase, frisbee, skis, snowboard, sports ball, kite, baseball bat, baseball glove, skateboard, surfboard,
tennis racket, bottle, wine glass, cup, fork, knife, spoon, bowl, banana, apple, sandwich, orange, broccoli, carrot,
hot dog, pizza, donut, cake, chair, couch, potted plant, bed, dining table, toilet, tv, laptop, mouse, remote,
keyboard, cell phone, microwave, oven, toaster, sink, refrigerator, book, clock, vase, scissors, teddy bear,
hair drier, toothbrush
"""
_OTHERS = "fire, smoke, face, helmet, vest, weapon, gun, vehicle, bag, van, forklift, animal"
CLASSES = frozenset(" ".join(name.split()) for name in f"{_COCO},{_OTHERS}".split(",")) | {ANY_CLASS}

SAME = {
    "people": "person", "persons": "person", "somebody": "person", "someone": "person", "anybody": "person",
    "anyone": "person", "man": "person", "woman": "person", "child": "person", "pedestrian": "person",
    "thing": ANY_CLASS, "things": ANY_CLASS, "anything": ANY_CLASS, "something": ANY_CLASS, "motion": ANY_CLASS,
    "flame": "fire", "flames": "fire", "lorry": "truck", "bike": "bicycle", "motorbike": "motorcycle",
    "knives": "knife", "buses": "bus", "lorries": "truck",
}  # fmt: skip


def class_of(words: str) -> str | None:
    """The class that is meant, in its one spelling: "People" is person, "cars" is car. None: not a known class."""
    words = " ".join(words.casefold().split())
    for one in (words, SAME.get(words, ""), words.removesuffix("s")):
        if one in CLASSES:
            return one
    return SAME.get(words.removesuffix("s"))
