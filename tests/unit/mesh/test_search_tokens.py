"""Words of texts in any script, and what finds them."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.search_tokens import (
    MAX_QUERY_WORDS,
    MAX_WORD_CHARACTERS,
    MAX_WORDS,
    condition_of,
    folded,
    is_found_exactly,
    matches,
    words_of,
)


def finds(typed: str, *texts: str) -> bool:
    """What an index would find, word by word."""
    words = words_of(*texts)
    condition = condition_of(typed)
    return condition is not None and (
        all(word in words for word in condition.all)
        and all(any(word.startswith(prefix) for word in words) for prefix in condition.prefixes)
    )


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("gate", "Person at the North-Gate"),
        ("gat nor", "Person at the North-Gate"),
        ("tur", "Tür 3, Straße"),
        ("TÜR", "Tu\u0308r"),
        ("strasse", "Straße"),
        ("12", "cam12"),
        ("cam12", "CAM12"),
        ("ворота", "Северные Ворота"),
        ("йод", "Йод"),
        ("بوابة", "عند بوابة الشمال"),
        ("दरवाज़ा", "उत्तर दरवाज़ा"),
        ("정문", "정문에서 사람이 넘어짐"),
        ("넘어", "정문에서 사람이 넘어짐"),
        ("문", "정문에서"),
        ("北门", "有人在北门摔倒"),
        ("摔", "有人在北门摔倒"),
        ("カメラ", "北門のｶﾒﾗ"),
        ("ประตู", "คนล้มที่ประตูเหนือ"),
        ("ＧＡＴＥ", "gate"),
        ('"gate"', "the gate"),
        ("εισοδος", "Είσοδος"),
    ],
)
def test_a_text_is_found_however_it_is_written(typed: str, text: str) -> None:
    assert finds(typed, text)
    assert matches(typed, text)


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("ate", "gate"),
        ('"gat"', "gate"),
        ("gate yard", "gate"),
        ("남문", "정문에서"),
        ("门北", "有人在北门摔倒"),
        ("", "gate"),
        ("?!", "gate"),
        ("й", "и"),
    ],
)
def test_what_is_not_there_is_not_found(typed: str, text: str) -> None:
    assert not finds(typed, text)
    assert not matches(typed, text)


def test_pairs_that_stand_apart_are_found_and_told_by_the_text() -> None:
    assert finds("一二三", "一二 二三")
    assert not matches("一二三", "一二 二三")
    assert matches("一二三", "零一二三四")


def test_words_are_bounded() -> None:
    assert len(words_of(" ".join(f"word{number}" for number in range(5000)))) == MAX_WORDS
    assert max(map(len, words_of("x" * 500))) == MAX_WORD_CHARACTERS
    assert finds("x" * 400, "x" * 500)
    condition = condition_of(" ".join(f"w{number}" for number in range(500)))
    assert condition is not None
    assert len(condition.all) + len(condition.prefixes) == MAX_QUERY_WORDS


any_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(any_text)
def test_every_text_finds_itself(text: str) -> None:
    if condition_of(text.replace('"', " ")) is not None:
        assert finds(text.replace('"', " "), text)
        assert matches(text.replace('"', " "), text)


@given(any_text)
def test_all_forms_of_a_text_give_the_same_words(text: str) -> None:
    words = words_of(text)
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        assert words_of(unicodedata.normalize(form, text)) == words  # type: ignore[arg-type]
    assert folded(folded(text)) == folded(text)
    assert all(words)
    assert len(set(words)) == len(words)


@given(st.text(alphabet="ab1 -", max_size=30), st.text(max_size=30))
def test_plain_text_is_cut_like_the_same_text_in_other_forms(plain: str, text: str) -> None:
    wide = "".join(chr(ord(one) + 0xFEE0) if "!" <= one <= "~" else one for one in plain)

    assert words_of(plain) == words_of(wide)
    assert set(words_of(text)) <= set(words_of(text, plain)) == set(words_of(text, wide))


@given(
    st.text(alphabet='aé12 "文字列정', max_size=8),
    st.lists(st.text(alphabet="aéb12 文字列정", max_size=12), max_size=3),
)
def test_what_the_index_finds_exactly_needs_no_second_look(typed: str, texts: list[str]) -> None:
    if is_found_exactly(typed) and finds(typed, *texts):
        assert matches(typed, *texts)


@pytest.mark.parametrize(
    "typed",
    ["一二三", "a" * (MAX_WORD_CHARACTERS + 1), " ".join(f"a{one}" for one in range(MAX_QUERY_WORDS + 1))],
)
def test_what_the_index_knows_only_in_parts_is_looked_at_again(typed: str) -> None:
    assert not is_found_exactly(typed)
    assert is_found_exactly("gate 12 北门")
