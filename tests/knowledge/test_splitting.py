"""Documents into passages: whole sentences, bounded, nothing lost."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from edge_autoglm.knowledge.splitting import split_passages


def test_sentences_stay_whole_and_fill_passages() -> None:
    text = "The ferry is cancelled. Mr. Lee waits! Will it sail on Tuesday? Perhaps. It is 3.5 m long."
    assert split_passages(text, max_chars=40) == [
        "The ferry is cancelled. Mr. Lee waits!",
        "Will it sail on Tuesday? Perhaps.",
        "It is 3.5 m long.",
    ]


def test_a_large_paragraph_ends_its_passage_and_small_ones_join() -> None:
    text = "Opening hours\n\nNine to five.\n\nThis paragraph is long enough to end its passage.\n\nThe end."
    assert split_passages(text, max_chars=80) == [
        "Opening hours Nine to five. This paragraph is long enough to end its passage.",
        "The end.",
    ]


def test_chinese_sentences_are_known_and_count_for_more() -> None:
    text = "渡轮停航。强风来自北方！明天再看？" * 3
    passages = split_passages(text, max_chars=60)
    assert all(len(passage) <= 20 and passage[-1] in "。！？" for passage in passages)
    assert "".join(passages) == text


def test_a_sentence_without_end_is_cut_between_words_and_one_without_words_anywhere() -> None:
    passages = split_passages("word " * 50, max_chars=22)
    assert set(passages) == {"word word word word", "word word"}
    assert split_passages("x" * 25, max_chars=10) == ["x" * 10, "x" * 10, "x" * 5]


def test_a_long_text_is_split_too() -> None:
    passages = split_passages("No end in sight " * 16_384)
    assert max(map(len, passages)) <= 600
    assert sum(passage.count("sight") for passage in passages) == 16_384


@given(st.text(alphabet="ab .!?\n。中", max_size=300), st.integers(8, 60))
@settings(max_examples=300, deadline=None)
def test_nothing_but_white_space_is_lost_and_no_passage_is_too_large(text: str, size: int) -> None:
    passages = split_passages(text, size)
    assert "".join("".join(passages).split()) == "".join(text.split())
    assert all(passage.strip() and len(passage) <= size for passage in passages)
