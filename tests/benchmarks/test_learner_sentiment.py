import json
from pathlib import Path

import pytest

from benchmarks.learner.sentiment import sentiment_stream
from benchmarks.learner.sentiment_rewards import right_answers
from benchmarks.learner.snippets import DEVELOPMENT, DOMAINS, REPORT, Rows, read_rows
from tests.facade.scripted import gated, open_scripted

TEXTS = tuple(f"film number {number} was good" for number in range(70))


@pytest.fixture
def snippets(tmp_path: Path) -> Path:
    for domain in DOMAINS:
        lines = [f"{-1.5 if row % 3 else 2.0}\t{domain} number {row}" for row in range(1, 1101)]
        (tmp_path / f"{domain}.tsv").write_text("\n".join(["valence\ttext", *lines]) + "\n")
    return tmp_path


def test_rows_are_those_of_the_split_with_the_sign_of_their_rating(snippets: Path) -> None:
    reported, developed = (read_rows(snippets, "tweets", split, 3) for split in (REPORT, DEVELOPMENT))
    assert reported.texts == ("tweets number 1001", "tweets number 1002", "tweets number 1003")
    assert developed.texts[0] == "tweets number 1"
    assert reported.labels == ("negative", "positive", "negative")


def test_a_snippet_earns_what_each_variant_got_right(snippets: Path, tmp_path: Path) -> None:
    blocks = [
        {"split": REPORT, "domain": "movies", "first_row": 1001, "right": {"plain": "10", "review": "11"}},
        {"split": REPORT, "domain": "tweets", "first_row": 1001, "right": {"plain": "0", "review": "1"}},
        {"split": DEVELOPMENT, "domain": "tweets", "first_row": 1, "right": {"plain": "0", "review": "0"}},
    ]
    file = tmp_path / "rewards.json"
    file.write_text(json.dumps({"variants": ["plain", "review"], "blocks": blocks}))
    stream = sentiment_stream(REPORT, snippets, file)(1, 100)
    assert stream.arms == ("plain", "review")
    assert sorted(map(tuple, stream.rewards.tolist())) == [(0.0, 1.0), (0.0, 1.0), (1.0, 1.0)]


def test_marks_are_those_of_the_runtime_answer_by_answer() -> None:
    labels = tuple("good" if number % 2 else "bad" for number in range(len(TEXTS)))
    done: list[int] = []
    with open_scripted(gated(answers={"Answer:": " good and great"})) as runtime:
        marks = right_answers(runtime, "mood", Rows("movies", 1, TEXTS, labels), "chat", done.append)
        alone = [runtime.run("mood", {"text": text}, variant="chat").label for text in TEXTS]
    assert marks == "".join(str(int(found == label)) for found, label in zip(alone, labels, strict=True))
    assert "1" in marks
    assert sum(done) == len(TEXTS)
