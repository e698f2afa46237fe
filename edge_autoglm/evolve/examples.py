"""Reads labelled examples: TSV, CSV or JSON lines, one example a row.

A column (or key) for each input of the task, and one named ``expect`` (or ``label``): the right label, or for a task
that generates text, the text wanted. A TSV has no quoting, so that a quotation mark in a text is just that; a CSV is
quoted as spreadsheets do.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from edge_autoglm.errors import ExamplesFileError, InputRejected
from edge_autoglm.prompts.render import check_inputs
from edge_autoglm.prompts.rewrite import Labelled
from edge_autoglm.prompts.task import Task

EXPECT = ("expect", "label")
"""Names of the column that has the right answer; the first that is there counts."""

_SHOWN = 3
"""Bad rows that an error names."""

Row = tuple[int, Mapping[str, Any]]
"""Line number and fields."""


def read_examples(path: Path, task: Task) -> tuple[Labelled, ...]:
    """All examples of a file, in its order.

    Args:
        path: ``.tsv``, ``.csv``, ``.jsonl`` or ``.ndjson``.
        task: Says which inputs and labels there are.

    Raises:
        ExamplesFileError: The file cannot be read, a column is missing, or rows are wrong; the lines are named.
    """
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise ExamplesFileError(f"{path} is named {path.suffix or 'without a suffix'}", f"Name it {_suffixes()}.")
    examples: list[Labelled] = []
    problems: list[str] = []
    for line, fields in reader(path, _read_lines(path)):
        found = _example(fields, task)
        if isinstance(found, Labelled):
            examples.append(found)
        else:
            problems.append(f"{path}, line {line}: {found}")
    if problems:
        more = f" (and {len(problems) - _SHOWN} more rows)" if len(problems) > _SHOWN else ""
        raise ExamplesFileError("; ".join(problems[:_SHOWN]) + more, "Correct these rows, or take them out.")
    if not examples:
        raise ExamplesFileError(f"{path} has no examples", "Give one example a line.")
    return tuple(examples)


def _read_lines(path: Path) -> list[str]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        cause = f"{path} cannot be read: {error.strerror or error}"
        raise ExamplesFileError(cause, "Check that it exists and may be read.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise ExamplesFileError(f"{path}, line {line}: the text is not UTF-8", "Save the file as UTF-8.") from error
    return text.split("\n")  # not splitlines, which also splits at characters that a text may have in it


def _tsv(path: Path, lines: Sequence[str]) -> Iterator[Row]:
    rows = ((number, line.rstrip("\r").split("\t")) for number, line in enumerate(lines, start=1) if line.strip())
    return _table(path, rows)


def _csv(path: Path, lines: Sequence[str]) -> Iterator[Row]:
    reader = csv.reader((f"{line}\n" for line in lines), strict=True)

    def rows() -> Iterator[tuple[int, list[str]]]:
        try:
            for row in reader:
                if any(cell.strip() for cell in row):
                    yield reader.line_num, row
        except csv.Error as error:
            cause = f"{path}, line {reader.line_num}: the row is not CSV: {error}"
            raise ExamplesFileError(cause, "Correct its quotation marks.") from error

    return _table(path, rows())


def _table(path: Path, rows: Iterator[tuple[int, list[str]]]) -> Iterator[Row]:
    _, names = next(rows, (0, []))
    names = [name.strip() for name in names]
    for line, cells in rows:
        if len(cells) != len(names):
            cause = f"{path}, line {line}: the row has {len(cells)} columns, the first line names {len(names)}"
            raise ExamplesFileError(cause, "Take tabs or commas out of the texts, or quote them (CSV).")
        yield line, dict(zip(names, cells, strict=True))


def _jsonl(path: Path, lines: Sequence[str]) -> Iterator[Row]:
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError) as error:
            cause = f"{path}, line {number}: the line is not JSON: {error}"
            raise ExamplesFileError(cause, "Write one JSON object a line.") from error
        if not isinstance(fields, dict):
            raise ExamplesFileError(f"{path}, line {number}: the line is no object", "Write one JSON object a line.")
        yield number, fields


_READERS: Mapping[str, Callable[[Path, Sequence[str]], Iterator[Row]]] = {
    ".tsv": _tsv,
    ".csv": _csv,
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
}


def _suffixes() -> str:
    return ", ".join(f"*{suffix}" for suffix in _READERS)


def _example(fields: Mapping[str, Any], task: Task) -> Labelled | str:
    """The example of a row, or what is wrong with it."""
    column = next((name for name in EXPECT if name in fields and name not in task.inputs), None)
    if column is None:
        return f"has no {EXPECT[0]}"
    expect = fields[column]
    if not isinstance(expect, str) or not expect.strip():
        return f"its {column} is {'empty' if expect in ('', None) else 'no text'}"
    if task.labels and expect.strip() not in task.labels:
        return f"its {column} is {expect.strip()[:40]!r}, not one of {', '.join(task.labels)}"
    inputs = {name: fields[name] for name in task.inputs if name in fields}
    try:
        check_inputs(task, inputs)
    except InputRejected as error:
        return error.cause
    empty = next((name for name, text in inputs.items() if not text.strip()), None)
    if empty is not None:
        return f"its {empty} is empty"
    return Labelled(inputs, expect.strip())
