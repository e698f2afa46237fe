"""From a request to its features: what is described, what is forbidden, and that it gives no text away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pytest

from edge_autoglm.errors import InputRejected
from edge_autoglm.learn.context import ContextValue, featurise
from edge_autoglm.learn.context.app import MAX_CONTEXT
from edge_autoglm.learn.context.words import MAX_WORDS
from edge_autoglm.learn.features import Features
from edge_autoglm.learn.hashing import hash_name

KEY = b"0123456789abcdef"
DEVICE = {"battery": 0.5, "thermal": 0.41}
SUNDAY_NOON = datetime(2026, 11, 22, 12, 0)


def dense(features: Features) -> dict[str, float]:
    return dict(zip(features.names, features.dense.tolist(), strict=True))


def of_text(text: str) -> dict[str, float]:
    return dense(featurise("mood", {"text": text}, None, KEY))


def indices(text: str, context: Mapping[str, ContextValue] | None = None, key: bytes = KEY) -> set[int]:
    return set(featurise("mood", {"text": text}, context, key).indices.tolist())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("digits", "born in 1815"),
        ("questions", "why?"),
        ("questions", "为什么？"),
        ("exclamations", "no!"),
        ("quotations", "“quoted”"),
        ("capitals", "Ada"),
        ("shouting", "a TERRIBLE day"),
        ("mention", "thanks @you"),
        ("url", "see https://example.org"),
        ("emoji", "nice 😀"),
        ("lines", "one\ntwo"),
        ("code", "def f(x):\n    return x"),
        ("code", "int x = 1;"),
        ("script:han", "电影很好看"),
        ("script:cyrillic", "фильм"),
        ("script:kana", "すごい"),
        ("script:thai", "ภาพยนตร์"),
        ("language:en", "the plot is not thin"),
        ("language:de", "der Film ist nicht gut"),
        ("language:fr", "le film est dans les salles"),
        ("language:es", "la película es muy buena, pero no para los niños"),
    ],
)
def test_the_shape_of_a_text_is_described(name: str, text: str) -> None:
    assert of_text(text)[name] > 0.0
    assert name not in of_text("ordinary words")


def test_the_language_of_a_text_leads() -> None:
    shares = of_text("Ich habe den Film nicht gesehen, aber die Musik ist in der Tat wunderbar.")
    assert max((name for name in shares if name.startswith("language:")), key=shares.__getitem__) == "language:de"


def test_scripts_are_shares_of_the_letters() -> None:
    mixed = of_text("好看 film")
    assert (mixed["script:han"], mixed["script:latin"]) == pytest.approx((2 / 6, 4 / 6), abs=1e-4)
    assert not any(name.startswith("script") for name in of_text("12 + 3"))


def test_lengths_are_logarithms_and_of_each_input_where_there_are_several() -> None:
    assert of_text("x" * 1023)["length"] == pytest.approx(10.0)
    both = dense(featurise("mood", {"question": "x" * 7, "text": "y" * 1016}, None, KEY))
    assert (both["length"], both["length:question"]) == pytest.approx((10.0, 3.0))


def test_what_does_not_occur_has_no_feature() -> None:
    assert set(of_text("ordinary words")) == {"length", "script:latin"}


def test_clock_and_device_are_features() -> None:
    features = dense(featurise("mood", {"text": "x"}, None, KEY, device=DEVICE, now=SUNDAY_NOON))
    assert (
        features.items() >= {"battery": 0.5, "thermal": 0.41, "weekend": 1.0, "hour:sin": 0.0, "hour:cos": -1.0}.items()
    )


def test_an_hour_before_midnight_is_near_an_hour_after() -> None:
    def at(hour: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        features = dense(featurise("mood", {}, None, KEY, now=datetime(2026, 11, 23, hour)))
        return np.array([features["hour:sin"], features["hour:cos"]])

    assert np.linalg.norm(at(23) - at(1)) == pytest.approx(np.linalg.norm(at(11) - at(13)), abs=1e-3)
    assert np.linalg.norm(at(0) - at(12)) == pytest.approx(2.0, abs=1e-3)


@pytest.mark.parametrize(
    ("forbidden", "gone"),
    [
        ("length", {"length", "length:text", "length:title"}),
        ("length:title", {"length:title"}),
        ("hour", {"hour:sin", "hour:cos"}),
        ("battery", {"battery"}),
        ("app", {"app:age", "app:driving"}),
        ("app:age", {"app:age"}),
        ("no such feature", set()),
    ],
)
def test_an_app_can_forbid_any_feature(forbidden: str, gone: set[str]) -> None:
    def names(forbidden: tuple[str, ...]) -> set[str]:
        inputs, context = {"text": "words", "title": "more"}, {"age": 40, "driving": True}
        return set(featurise("mood", inputs, context, KEY, device=DEVICE, now=SUNDAY_NOON, forbidden=forbidden).names)

    assert names(()) - names((forbidden,)) == gone


def test_words_and_texts_of_the_app_can_be_forbidden() -> None:
    context = {"user": "ada", "screen": "small"}
    assert len(featurise("mood", {"text": "two words"}, context, KEY).indices) == 4
    assert len(featurise("mood", {"text": "two words"}, context, KEY, forbidden=["words"]).indices) == 2
    assert len(featurise("mood", {"text": "two words"}, context, KEY, forbidden=["app:user"]).indices) == 3
    assert len(featurise("mood", {"text": "two words"}, context, KEY, forbidden=["app", "words"]).indices) == 0


def test_words_are_shared_by_texts_that_share_them_and_by_no_others() -> None:
    words = {word: hash_name(f"word={word}", KEY) for word in ("a", "gripping", "story", "such", "tale")}
    first, second = indices("a gripping story"), indices("such a GRIPPING tale")
    assert first & second & set(words.values()) == {words["a"], words["gripping"]}
    assert not indices("the weather") & set(words.values())


def test_chinese_words_are_pairs_of_characters() -> None:
    assert hash_name("word=好看", KEY) in indices("这部电影很好看") & indices("好看！")


def test_another_key_hides_the_words_and_the_textual_context() -> None:
    context = {"user": "ada", "battery": 0.5}
    ours, theirs = indices("gripping 2", context), indices("gripping 2", context, b"another key")
    assert len(ours) == 2
    assert not ours & theirs


def test_a_long_text_has_few_words_and_always_the_same_ones() -> None:
    words = [f"word{chr(97 + i % 26)}{chr(97 + i // 26)}" for i in range(300)]
    plain, turned = indices(" ".join(words)), indices(" ".join(reversed(words)))
    assert len(plain) == MAX_WORDS
    assert plain == turned


def test_a_text_of_any_length_has_words_of_the_same_total_size() -> None:
    for text in ("good", " ".join(f"word{chr(97 + i)}" for i in range(26))):
        values = featurise("mood", {"text": text}, None, KEY).values
        assert (values**2).sum() == pytest.approx(1.0, rel=0.01)


def test_numbers_of_the_app_keep_their_order_and_large_ones_are_compressed() -> None:
    def value(load: float) -> float:
        return dense(featurise("mood", {}, {"load": load}, KEY))["app:load"]

    assert (value(0.5), value(-0.5)) == (0.5, -0.5)
    assert value(100.0) == pytest.approx(1 + math.log(100))
    assert value(1e300) < 1000


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
    assert np.isfinite(features.dense).all()
