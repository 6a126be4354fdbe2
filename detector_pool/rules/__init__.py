"""Rules over what detectors find: one small language for people who are not programmers (docs/guide/rules.md).

    intruder: person in "yard" for 2 s between 22:00 and 06:00

Text becomes rules (`lexer`, `parser`), rules become text in normal form (`printer`), names are checked against those of
an inspection (`check`), and a `RuleSet` follows tracked boxes through time with an explicit state. All of that is pure;
`detector` makes the detector type `rules` of it.
"""

from detector_pool.rules.check import check
from detector_pool.rules.parser import parse
from detector_pool.rules.printer import printed
from detector_pool.rules.problem import RuleError
from detector_pool.rules.terms import Rule

__all__ = ["Rule", "RuleError", "check", "parse", "printed"]
