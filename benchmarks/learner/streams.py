"""Which streams are reported, and on which other ones settings are chosen; the two share no data."""

from __future__ import annotations

from pathlib import Path

from benchmarks.learner.docstrings import REPORTED, TUNING, docstring_stream
from benchmarks.learner.sentiment import sentiment_stream
from benchmarks.learner.snippets import DEVELOPMENT, REPORT, REWARDS
from benchmarks.learner.stream import StreamSpec
from benchmarks.learner.synthetic import abrupt, agrawal, blobs, led, led_swapped, random_rbf, sea, stationary, waveform
from benchmarks.learner.tables import in_random_order, river_table, river_yeast, sklearn_table


def without_sentiment(snippets: Path) -> str | None:
    """Why there are no sentiment streams; ``None`` where there are."""
    if not REWARDS.exists():
        return f"{REWARDS.name} is missing: make it with `python -m benchmarks.learner.sentiment_rewards`"
    if not snippets.is_dir():
        return "the snippets are missing: name their folder with --snippets"
    return None


def reported(snippets: Path) -> tuple[StreamSpec, ...]:
    """The streams of the record; none of them was looked at to choose a setting."""
    sentiment = StreamSpec("sentiment", "text", sentiment_stream(REPORT, snippets))
    return (
        StreamSpec("segment", "dense", in_random_order(river_table, "ImageSegments")),
        StreamSpec("phishing", "dense", in_random_order(river_table, "Phishing")),
        StreamSpec("bananas", "dense", in_random_order(river_table, "Bananas")),
        StreamSpec("shuttle", "dense", in_random_order(river_table, "Shuttle")),
        StreamSpec("yeast", "dense", in_random_order(river_yeast)),
        StreamSpec("digits", "dense", in_random_order(sklearn_table, "digits")),
        StreamSpec("led", "dense", stationary("led", led_swapped)),
        StreamSpec("led drift", "dense", abrupt("led", led, led_swapped), twin="led"),
        StreamSpec("sea", "dense", stationary("sea", sea(3))),
        StreamSpec("sea drift", "dense", abrupt("sea", sea(2), sea(3)), twin="sea"),
        StreamSpec("agrawal", "dense", stationary("agrawal", agrawal(2))),
        StreamSpec("agrawal drift", "dense", abrupt("agrawal", agrawal(0), agrawal(2)), twin="agrawal"),
        StreamSpec("rbf", "dense", stationary("rbf", random_rbf(2))),
        StreamSpec("rbf drift", "dense", abrupt("rbf", random_rbf(1), random_rbf(2)), twin="rbf"),
        StreamSpec("rbf moving", "dense", stationary("rbf", random_rbf(3, drift=0.0005))),
        StreamSpec("docstrings", "text", docstring_stream(REPORTED)),
        *_if_there(sentiment, snippets),
    )


def tuning(snippets: Path) -> tuple[StreamSpec, ...]:
    """The streams on which settings are chosen, for all contestants alike."""
    sentiment = StreamSpec("sentiment development", "text", sentiment_stream(DEVELOPMENT, snippets))
    return (
        StreamSpec("breast cancer", "dense", in_random_order(sklearn_table, "breast_cancer")),
        StreamSpec("wine", "dense", in_random_order(sklearn_table, "wine")),
        StreamSpec("waveform", "dense", stationary("waveform", waveform)),
        StreamSpec("blobs", "dense", stationary("blobs", blobs(2))),
        StreamSpec("blobs drift", "dense", abrupt("blobs", blobs(1), blobs(2)), twin="blobs"),
        StreamSpec("library docstrings", "text", docstring_stream(TUNING)),
        *_if_there(sentiment, snippets),
    )


def _if_there(sentiment: StreamSpec, snippets: Path) -> tuple[StreamSpec, ...]:
    return () if without_sentiment(snippets) else (sentiment,)
