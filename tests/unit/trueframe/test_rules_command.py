"""`trueframe rules check`: mistakes with their mark, rules in normal form."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from trueframe.commands.rules import command

GOOD = 'intruder: people in yard for 2s\nwrong way: person crosses "gate" backwards\n'


def checked(tmp_path: Path, text: str, *arguments: str, name: str = "site.rules") -> Result:
    path = tmp_path / name
    path.write_text(text)
    return CliRunner().invoke(command, ["check", str(path), *arguments])


def test_rules_are_printed_in_normal_form(tmp_path: Path) -> None:
    result = checked(tmp_path, GOOD)
    assert result.exit_code == 0
    assert result.stdout == (
        'intruder: person in "yard" for 2 s\nwrong way: person crosses "gate" backwards\n'
    )  # fmt: skip


def test_a_mistake_is_shown_with_a_mark_under_it_and_ends_with_2(tmp_path: Path) -> None:
    result = checked(tmp_path, GOOD, "--zone", "yard", "--line", "gat")
    assert result.exit_code == 2
    place, shown, mark = result.stderr.rstrip("\n").split("\n")
    assert place.startswith("trueframe: rules, line 2, column 27: no line is called")
    assert shown[mark.index("^") :].startswith('"gate"')
    assert result.stdout == ""


def test_one_kind_of_name_alone_tells_that_there_are_none_of_the_other(tmp_path: Path) -> None:
    assert "there is no line" in checked(tmp_path, GOOD, "--zone", "yard").stderr


def test_a_file_of_options_has_them_inside(tmp_path: Path) -> None:
    options = f"rules = '''\n{GOOD}'''\nsources = ['static']\n"
    assert "intruder" in checked(tmp_path, options, name="gate.toml").stdout
    for text, says in (("sources = []", "has no rules"), ("rules = ", "is no TOML")):
        result = checked(tmp_path, text, name="gate.toml")
        assert says in str(result.exception)


@pytest.mark.parametrize(("text", "is_good"), [(GOOD, True), ("a: persn", False)])
def test_json_says_both(tmp_path: Path, text: str, is_good: bool) -> None:
    result = checked(tmp_path, text, "--json")
    told = json.loads(result.stdout)
    assert told["ok"] is is_good
    assert (told["rules"] == ["intruder", "wrong way"]) if is_good else ("did you mean" in told["error"])
    assert result.exit_code == (0 if is_good else 2)
