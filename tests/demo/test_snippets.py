"""The shipped snippets."""

from __future__ import annotations

from collections import Counter
from importlib.resources import files

from edge_autoglm.demo.snippets import load_snippets


def test_there_are_four_hundred_of_each_domain() -> None:
    snippets = load_snippets(800, seed=0)
    assert Counter(snippet.domain for snippet in snippets) == {"movies": 400, "tweets": 400}
    assert {snippet.label for snippet in snippets} == {"positive", "negative"}
    assert all(snippet.text == snippet.text.strip() != "" for snippet in snippets)


def test_the_label_is_the_sign_of_the_mean_rating() -> None:
    labels = {snippet.text: snippet.label for snippet in load_snippets(800, seed=0)}
    assert labels["The film's center will not hold."] == "negative"
    assert labels["And then I found $20 in my back pocket!"] == "positive"


def test_the_order_depends_on_the_seed_only() -> None:
    assert load_snippets(800, seed=3) == load_snippets(800, seed=3)
    assert load_snippets(800, seed=3) != load_snippets(800, seed=4)
    assert load_snippets(100, seed=3) == load_snippets(800, seed=3)[:100]


def test_both_domains_are_mixed_in_every_stretch() -> None:
    movies = [snippet.domain == "movies" for snippet in load_snippets(800, seed=0)]
    assert all(20 <= sum(movies[start : start + 80]) <= 60 for start in range(0, 800, 80))


def test_the_notice_names_source_and_licence() -> None:
    notice = files("edge_autoglm.data").joinpath("NOTICE").read_text(encoding="utf-8")
    assert "Hutto, C.J. and Gilbert, E.E. (2014)" in notice
    assert "The MIT License (MIT)" in notice
