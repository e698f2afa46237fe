"""Featurisation: what is described, how it is scaled, and that it gives no text away."""

from __future__ import annotations

import math

import numpy as np
import pytest

from edge_autoglm.errors import InputRejected
from edge_autoglm.learn.features import (
    LARGEST_VALUE,
    MAX_CONTEXT,
    MAX_WORDS,
    SHAPE_NORM,
    WORDS_NORM,
    Features,
    featurise,
)
from edge_autoglm.learn.hashing import hash_name

KEY = b"0123456789abcdef"


def indices(text: str, context: dict[str, float | str | bool] | None = None, key: bytes = KEY) -> set[int]:
    return set(featurise("mood", {"text": text}, context, key).indices.tolist())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("digits", "born in 1815"),
        ("question", "why"),
        ("question", "为什么？"),
        ("exclamation", "no!"),
        ("quotation", "“quoted”"),
        ("shouting", "a TERRIBLE day"),
        ("mention", "thanks @you"),
        ("url", "see https://example.org"),
        ("emoji", "nice 😀"),
        ("lines", "one\ntwo"),
        ("code", "def f(x):\n    return x"),
        ("code", "int x = 1;"),
        ("script=latin", "plain"),
        ("script=han", "电影很好看"),
        ("script=cyrillic", "фильм"),
        ("script=kana", "すごい"),
        ("script=none", "12 + 3"),
        ("script:mixed", "好看 film"),
        ("length:text=5", "sixteen letters."),
    ],
)
def test_the_shape_of_a_text_is_described(name: str, text: str) -> None:
    text = text + "?" if text == "why" else text
    assert hash_name(name) in indices(text)
    assert hash_name(name) not in indices("ordinary words" if name != "script=latin" else "слова")


def test_words_are_shared_by_texts_that_share_them_and_by_no_others() -> None:
    words = {word: hash_name(f"word={word}", KEY) for word in ("a", "gripping", "story", "such", "tale")}
    first, second = indices("a gripping story"), indices("such a GRIPPING tale")
    assert first & second & set(words.values()) == {words["a"], words["gripping"]}
    assert not indices("the weather") & set(words.values())


def test_chinese_words_are_pairs_of_characters() -> None:
    assert hash_name("word=好看", KEY) in indices("这部电影很好看") & indices("好看！")


def test_another_key_hides_the_words_and_the_textual_context_but_not_the_shape() -> None:
    ours = featurise("mood", {"text": "gripping 2"}, {"user": "ada", "battery": 0.5}, KEY)
    theirs = featurise("mood", {"text": "gripping 2"}, {"user": "ada", "battery": 0.5}, b"another key")
    shared = set(ours.indices.tolist()) & set(theirs.indices.tolist())
    assert {hash_name("digits"), hash_name("context:battery")} <= shared
    assert hash_name("word=gripping", KEY) not in shared
    assert len(shared) == len(ours.indices) - 2


def test_a_long_text_has_few_words_and_always_the_same_ones() -> None:
    words = [f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(300)]
    plain, turned = featurise("mood", {"text": " ".join(words)}, None, KEY), " ".join(reversed(words))
    assert len(plain.indices) <= MAX_WORDS + 10
    assert set(plain.indices.tolist()) == indices(turned)


def test_no_group_drowns_the_others() -> None:
    for text in ("good", " ".join(f"word{chr(97 + i)}" for i in range(26)) + " 1?! \n"):
        features = featurise("mood", {"text": text}, {"load": 3.0, "screen": "small"}, KEY)
        squares = features.values**2
        assert features.values[0] == 1.0
        assert squares[1:].sum() == pytest.approx(SHAPE_NORM**2 + WORDS_NORM**2, rel=0.01)


def test_context_numbers_keep_their_order_and_large_ones_are_compressed() -> None:
    def value(load: float) -> float:
        # Alone in its group with one indicator of size 1, so the ratio of the two is the compressed number.
        features = featurise("mood", {}, {"load": load, "always": True}, KEY)
        at = features.indices.tolist()
        ours, one = at.index(hash_name("context:load")), at.index(hash_name("context:always=True"))
        return float(features.values[ours] / features.values[one])

    assert value(0.5) == pytest.approx(0.5, abs=0.01)
    assert value(-0.5) == pytest.approx(-0.5, abs=0.01)
    assert value(100.0) == pytest.approx(1 + math.log(100), abs=0.1)
    assert value(1e300) < 2000


def test_a_bool_and_the_number_one_are_different_things() -> None:
    assert indices("x", {"flag": True}) != indices("x", {"flag": 1.0})
    assert indices("x", {"flag": True}) != indices("x", {"flag": False})


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 10**400, None, [1], b"raw", 1j])
def test_an_unusable_context_value_is_named(value: object) -> None:
    with pytest.raises(InputRejected, match="'temperature'"):
        featurise("mood", {"text": "x"}, {"temperature": value}, KEY)  # type: ignore[dict-item]


def test_a_context_without_end_is_refused() -> None:
    with pytest.raises(InputRejected, match=str(MAX_CONTEXT + 1)):
        featurise("mood", {}, {f"n{i}": 1.0 for i in range(MAX_CONTEXT + 1)}, KEY)


@pytest.mark.parametrize("text", ["", " \n\t", "\x00", "\ud800 lone surrogate", "a" * 100_000, "\u202e" * 50])
def test_any_text_has_features(text: str) -> None:
    features = featurise("mood", {"text": text}, None, KEY)
    assert len(features.indices) == len(set(features.indices.tolist()))
    assert np.isfinite(features.values).all()


def test_features_are_copies_that_cannot_be_changed() -> None:
    values = np.array([1.0])
    features = Features(np.array([3]), values)
    values[0] = 2.0
    assert features.values[0] == 1.0
    with pytest.raises(ValueError, match="read-only"):
        features.values[0] = 2.0


@pytest.mark.parametrize("value", [math.nan, math.inf, -2 * LARGEST_VALUE])
def test_features_refuse_values_that_would_poison_the_model(value: float) -> None:
    with pytest.raises(InputRejected, match="NaN, infinite or beyond"):
        Features(np.array([1]), np.array([value]))


def test_features_refuse_arrays_that_do_not_match() -> None:
    with pytest.raises(InputRejected, match="equal length"):
        Features(np.array([1, 2]), np.array([1.0]))
