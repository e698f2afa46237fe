"""Files of labelled examples, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_autoglm.errors import ExamplesFileError
from edge_autoglm.evolve.examples import read_examples
from tests.evolve.world import mood_task
from tests.swap.world import text_task

TASK = mood_task()


def _write(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.tsv", 'text\texpect\nSo "good\tgood\n\nHm, bad\tbad\n'),
        ("a.tsv", '\ufefflabel\ttext\r\ngood\tSo "good\r\nbad\tHm, bad\r\n'),
        ("a.csv", 'text,expect\n"So ""good",good\n"Hm, bad", bad \n'),
        ("a.jsonl", '{"text": "So \\"good", "label": "good"}\n\n{"expect": "bad", "text": "Hm, bad", "more": 1}\n'),
    ],
)
def test_every_format_says_the_same(tmp_path: Path, name: str, content: str) -> None:
    found = read_examples(_write(tmp_path, name, content), TASK)
    assert [(dict(each.inputs), each.expect) for each in found] == [
        ({"text": 'So "good'}, "good"),
        ({"text": "Hm, bad"}, "bad"),
    ]


def test_a_quoted_line_break_is_part_of_a_text(tmp_path: Path) -> None:
    found = read_examples(_write(tmp_path, "a.csv", 'text,expect\n"one\ntwo",good\n'), TASK)
    assert found[0].inputs["text"] == "one\ntwo"


def test_a_text_task_takes_any_answer(tmp_path: Path) -> None:
    found = read_examples(_write(tmp_path, "a.tsv", "text\texpect\nHello\tFine, thanks\n"), text_task())
    assert found[0].expect == "Fine, thanks"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.tsv", "text\texpect\nx\tgood\ny\tnice\nz\tawful\n", "line 3.*'nice', not one of good, bad.*line 4"),
        ("a.tsv", "text\texpect\nx\tgood\tmore\n", "line 2: the row has 3 columns"),
        ("a.tsv", "text\twhat\nx\tgood\n", "line 2: has no expect"),
        ("a.tsv", "expect\ngood\n", "line 2: .*no input 'text'"),
        ("a.tsv", "text\texpect\n  \tgood\n", "line 2: its text is empty"),
        ("a.tsv", "text\texpect\nx\t \n", "line 2: its expect"),
        ("a.tsv", "text\texpect\n", "no examples"),
        ("a.tsv", "", "no examples"),
        ("a.tsv", b"text\texpect\nx\tgood\n\xff\tbad\n", "line 3: the text is not UTF-8"),
        ("a.csv", 'text,expect\nx,good\n"y,bad\n', "not CSV"),
        ("a.jsonl", '{"text": "x", "expect": "good"}\nno\n', "line 2: the line is not JSON"),
        ("a.jsonl", '["x"]\n', "line 1: the line is no object"),
        ("a.jsonl", '{"text": 3, "expect": "good"}\n', "line 1: .*text"),
        ("a.jsonl", '{"text": "x", "expect": 1}\n', "line 1: its expect is no text"),
        ("a.txt", "x", "named .txt"),
    ],
)
def test_what_is_wrong_is_named_by_line(tmp_path: Path, name: str, content: str | bytes, said: str) -> None:
    path = _write(tmp_path, name, content)
    with pytest.raises(ExamplesFileError, match=said) as caught:
        read_examples(path, TASK)
    assert name in caught.value.cause


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ExamplesFileError, match=r"none\.tsv cannot be read"):
        read_examples(tmp_path / "none.tsv", TASK)


def test_many_bad_rows_are_counted(tmp_path: Path) -> None:
    path = _write(tmp_path, "a.tsv", "text\texpect\n" + "x\tnice\n" * 10)
    with pytest.raises(ExamplesFileError, match="and 7 more rows"):
        read_examples(path, TASK)
