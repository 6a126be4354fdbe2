"""How long footage of each camera is kept: the rules as they are stored. The store outranks the configuration.

What belongs here: storing, validating, looking up. What does not: what follows from a rule (`retention`).
"""

from __future__ import annotations

from dataclasses import asdict

from media_center.retention import Rule
from mesh.errors import InvalidArgument
from mesh.ids import validate_camera_id
from mesh.logs import get_logger
from mesh.store import Collection, DocumentStore, scan

log = get_logger("media_center.retention")

# No camera is called so: ids have no underscore.
_COMMON = "_common"
_MAX_AGE_S = 100 * 366 * 86_400
_MAX_BYTES = 1 << 60


class RuleBook:
    """The rules of all cameras. Make it with `open`; the only writer of its documents."""

    def __init__(self, rules: Collection, common: Rule) -> None:
        self._documents = rules
        self._seed = common
        self._own: dict[str, Rule] = {}
        self.version = 0
        """Grows with every change."""

    @classmethod
    async def open(cls, store: DocumentStore, common: Rule) -> RuleBook:
        """Reads all rules. `common`: of every camera without one, until somebody changes that."""
        book = cls(await store.collection("retention"), checked(common))
        async for document in scan(book._documents):
            book._own[document.id] = Rule(**document.body)
        return book

    @property
    def common(self) -> Rule:
        """The rule of every camera that has none of its own."""
        return self._own.get(_COMMON, self._seed)

    def rule_of(self, camera: str) -> Rule:
        """The rule in force."""
        return self._own.get(camera, self.common)

    def has_own(self, camera: str) -> bool:
        """Whether a camera has a rule of its own."""
        return camera in self._own

    async def put(self, camera: str, rule: Rule, by: str) -> Rule:
        """Changes the rule of a camera, with an empty name the common one. On disk when it returns.

        Raises InvalidArgument.
        """
        name = validate_camera_id(camera) if camera else _COMMON
        await self._documents.put(name, asdict(checked(rule)))
        self._own[name] = rule
        self.version += 1
        log.info("retention rule changed", camera=camera or "(common)", by=by, **asdict(rule))
        return rule

    async def reset(self, camera: str, by: str) -> Rule:
        """A camera gives up its own rule; returns the common one. Without a camera, the configuration's comes back."""
        name = validate_camera_id(camera) if camera else _COMMON
        await self._documents.delete(name)
        self._own.pop(name, None)
        self.version += 1
        log.info("retention rule reset", camera=camera or "(common)", by=by)
        return self.rule_of(camera)


def checked(rule: Rule) -> Rule:
    """The rule. Raises InvalidArgument if a bound cannot be."""
    for name, value, most in (
        ("max_age_s", rule.max_age_s, _MAX_AGE_S),
        ("max_bytes", rule.max_bytes, _MAX_BYTES),
        ("move_after_s", rule.move_after_s, _MAX_AGE_S),
    ):
        if not 0 <= value <= most:
            raise InvalidArgument(f"retention rule: {name}", f"is {value}; 0 to {most} are possible")
    return rule
