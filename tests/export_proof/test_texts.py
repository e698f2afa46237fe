"""The texts that ship, and a user's own."""

from __future__ import annotations

from importlib.resources import files
from itertools import pairwise
from pathlib import Path

import pytest

from edge_autoglm.errors import UnusableText
from edge_autoglm.export.proof.language import Language
from edge_autoglm.export.proof.prompts import PROMPTS
from edge_autoglm.export.texts import Text, calibration_text, heldout_text, read_text_file


def _shingles(text: str, words: int = 8) -> set[tuple[str, ...]]:
    split = text.split()
    return {tuple(split[i : i + words]) for i in range(len(split) - words + 1)}


def test_the_shipped_texts_share_nothing() -> None:
    calibration, heldout = calibration_text(), heldout_text()
    assert 120_000 < len(calibration.content.encode()) < 160_000
    assert 45_000 < len(heldout.content.encode()) < 60_000
    assert not _shingles(calibration.content) & _shingles(heldout.content)
    assert calibration.sha256 != heldout.sha256


@pytest.mark.parametrize("text", [calibration_text(), heldout_text()], ids=lambda text: text.name)
def test_the_shipped_texts_are_clean_and_varied(text: Text) -> None:
    control = {char for char in text.content if ord(char) < 32 or char == "\ufffd"}
    assert control <= {"\n", "\t"}
    assert sum("\u4e00" <= char <= "\u9fff" for char in text.content) > 500
    for part in ("Assistant: ", "def ", "SELECT" if text.name == "heldout.txt" else "Alice"):
        assert part in text.content
    assert not any(prompt in text.content for prompt in PROMPTS)


def test_every_source_is_named_in_the_notice() -> None:
    notice = files("edge_autoglm.data").joinpath("NOTICE").read_text(encoding="utf-8")
    for source in ("Alice", "Jargon File", "Python 3.11", "Tang", "Devil's Dictionary", "As You Like It", "SQLite"):
        assert source in notice
    for licence in ("PSF LICENSE AGREEMENT", "BSD 3-Clause License", "The MIT License", "Apache-2.0"):
        assert licence in notice


def test_a_users_text_is_read_without_its_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_bytes("\ufeffkurz und gut: 你好\n".encode())
    text = read_text_file(file)
    assert text.content == "kurz und gut: 你好\n"
    assert text.name == str(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot be read: no such file"),
        ("dir", "cannot be read: is a directory"),
        (b"gr\xfc\xdfe", "is not UTF-8: byte 2"),
        (b" \n\t", "is empty"),
    ],
)
def test_an_unusable_text_is_named(tmp_path: Path, content: bytes | str | None, message: str) -> None:
    file = tmp_path / "mine.txt"
    if content == "dir":
        file.mkdir()
    elif isinstance(content, bytes):
        file.write_bytes(content)
    with pytest.raises(UnusableText, match=message) as caught:
        read_text_file(file)
    assert str(file) in caught.value.cause
    assert caught.value.cure.endswith(".")


def test_windows_lie_evenly_and_do_not_overlap(language: Language) -> None:
    text = heldout_text()
    tokens = language.tokenizer.encode(text.content)
    windows = language.windows(text, 5, 100)
    assert [len(window) for window in windows] == [100] * 5
    starts = [next(i for i in range(len(tokens)) if tokens[i : i + 100] == window) for window in windows]
    assert starts[0] == 0
    assert starts[-1] == len(tokens) - 100
    gaps = [right - left for left, right in pairwise(starts)]
    assert max(gaps) - min(gaps) <= 1
    assert language.windows(text, 1, 100) == [tokens[:100]]


def test_windows_may_use_every_token(language: Language) -> None:
    text = Text("short", "ab" * 10)
    tokens = language.tokenizer.encode(text.content)
    windows = language.windows(text, 4, len(tokens) // 4)
    assert [token for window in windows for token in window] == tokens


def test_windows_start_with_bos_where_the_model_wants_it(language: Language) -> None:
    with_bos = Language(language.tokenizer, language.chat, language.eos_token_ids, bos_id=1)
    windows = with_bos.windows(heldout_text(), 3, 50)
    assert all(window[0] == 1 and len(window) == 50 for window in windows)
    assert [window[1:] for window in windows] == language.windows(heldout_text(), 3, 49)


def test_a_text_that_is_too_short_says_what_it_lacks(language: Language) -> None:
    with pytest.raises(UnusableText, match=r"the text mine\.txt has 4 tokens, 2 windows of 512 take 1024"):
        language.windows(Text("mine.txt", "wxyz"), 2, 512)


def test_a_prompt_is_chat_where_there_is_a_template(language: Language) -> None:
    asked = language.tokenizer.encode("<|im_start|>user\nWhy?<|im_end|>\n<|im_start|>assistant\n")
    assert language.prompt("Why?") == asked
    base = Language(language.tokenizer, None, language.eos_token_ids, bos_id=1)
    assert base.prompt("Why?") == [1, *language.tokenizer.encode("Why?")]
