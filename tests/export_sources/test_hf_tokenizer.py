"""What a Hugging Face folder says about text, from all the files that may say it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer

from edge_autoglm.errors import NotAModel, UnsupportedModel
from edge_autoglm.export.checkpoint import TokenizerFiles
from edge_autoglm.export.sources import open_checkpoint
from tests.checkpoints import CHAT_TEMPLATE, tiny_tokenizer_json, write_tiny_llama


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "tiny")


def read(folder: Path) -> TokenizerFiles:
    return open_checkpoint(str(folder)).tokenizer()


def change(path: Path, **changes: Any) -> None:
    content = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({key: value for key, value in (content | changes).items() if value is not None}))


def test_everything_comes_from_the_folder(folder: Path) -> None:
    files = read(folder)
    assert files.chat_template == CHAT_TEMPLATE
    assert (files.bos_token, files.eos_token, files.eos_token_ids) == ("<|im_start|>", "<|im_end|>", (2,))
    text = "a good film\n<|im_end|>"
    original = Tokenizer.from_str(tiny_tokenizer_json())
    assert Tokenizer.from_str(files.tokenizer_json).encode(text).ids == original.encode(text).ids


def test_endings_of_all_files_are_merged(folder: Path) -> None:
    change(folder / "generation_config.json", eos_token_id=[0, 7])
    change(folder / "config.json", eos_token_id=5)
    assert read(folder).eos_token_ids == (0, 7, 5, 2)


def test_a_folder_without_any_ending_is_refused(folder: Path) -> None:
    change(folder / "config.json", eos_token_id=None)
    change(folder / "tokenizer_config.json", eos_token=None)
    with pytest.raises(NotAModel, match="names no eos_token_id"):
        read(folder)


def test_special_tokens_may_be_objects(folder: Path) -> None:
    change(folder / "tokenizer_config.json", eos_token={"content": "<|endoftext|>", "lstrip": False}, bos_token=None)
    files = read(folder)
    assert (files.bos_token, files.eos_token, files.eos_token_ids) == (None, "<|endoftext|>", (2, 0))


def test_special_tokens_may_be_in_their_own_file(folder: Path) -> None:
    (folder / "tokenizer_config.json").unlink()
    change(folder / "special_tokens_map.json", bos_token="<|im_start|>", eos_token="<|im_end|>")
    assert (read(folder).bos_token, read(folder).eos_token) == ("<|im_start|>", "<|im_end|>")


def test_a_template_in_its_own_file_wins(folder: Path) -> None:
    change(folder / "chat_template.json", chat_template="from json")
    assert read(folder).chat_template == "from json"
    (folder / "chat_template.jinja").write_text("from jinja: 你好", encoding="utf-8")
    assert read(folder).chat_template == "from jinja: 你好"


def test_of_named_templates_the_default_is_taken(folder: Path) -> None:
    named = [{"name": "tool_use", "template": "tools"}, {"name": "default", "template": "plain"}]
    change(folder / "tokenizer_config.json", chat_template=named)
    assert read(folder).chat_template == "plain"


def test_a_base_model_has_no_template(folder: Path) -> None:
    change(folder / "tokenizer_config.json", chat_template=None)
    assert read(folder).chat_template is None


def test_a_template_that_is_not_text_is_named(folder: Path) -> None:
    (folder / "chat_template.jinja").write_bytes(b"\xff\xfe")
    with pytest.raises(NotAModel, match=r"chat_template\.jinja is not UTF-8"):
        read(folder)


def add_bos_in_post_processor(folder: Path) -> None:
    bos = {"SpecialToken": {"id": "<|im_start|>", "type_id": 0}}
    change(
        folder / "tokenizer.json",
        post_processor={
            "type": "TemplateProcessing",
            "single": [bos, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [bos, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<|im_start|>": {"id": "<|im_start|>", "ids": [1], "tokens": ["<|im_start|>"]}},
        },
    )


@pytest.mark.parametrize(("setting", "expected"), [(True, True), (False, False), (None, True)])
def test_the_setting_decides_on_bos_and_without_it_the_post_processor(
    setting: bool | None, expected: bool, folder: Path
) -> None:
    add_bos_in_post_processor(folder)
    change(folder / "tokenizer_config.json", add_bos_token=setting)
    assert read(folder).add_bos is expected


def test_without_setting_and_post_processor_no_bos_is_added(folder: Path) -> None:
    change(folder / "tokenizer_config.json", add_bos_token=None)
    assert read(folder).add_bos is False


def test_the_stored_file_neither_adds_tokens_nor_cuts_nor_pads(folder: Path) -> None:
    add_bos_in_post_processor(folder)
    change(
        folder / "tokenizer.json",
        truncation={"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        padding={
            "strategy": {"Fixed": 8},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 0,
            "pad_type_id": 0,
            "pad_token": "<|endoftext|>",
        },
    )
    stored = Tokenizer.from_str(read(folder).tokenizer_json)
    plain = Tokenizer.from_str(tiny_tokenizer_json())
    for text in ("a", "a film that is good and bad and good"):
        assert stored.encode(text).ids == plain.encode(text).ids


def test_a_slow_tokenizer_is_refused_with_the_way_out(folder: Path) -> None:
    (folder / "tokenizer.json").rename(folder / "tokenizer.model")
    with pytest.raises(UnsupportedModel, match=r"has no tokenizer\.json\. Save it with the fast tokenizer"):
        read(folder)


@pytest.mark.parametrize("content", ["{}", '{"model": {"type": "Morse"}}', "not json"])
def test_a_malformed_tokenizer_is_named(content: str, folder: Path) -> None:
    (folder / "tokenizer.json").write_text(content)
    with pytest.raises(NotAModel, match=r"tokenizer\.json is not"):
        read(folder)


def test_a_tokenizer_with_more_tokens_than_the_embedding_has_rows_is_refused(folder: Path) -> None:
    change(folder / "config.json", vocab_size=300)
    with pytest.raises(UnsupportedModel, match=r"tokenizer\.json: the token '.+' has the id 319.* 300 rows"):
        read(folder)


def test_a_special_token_without_a_row_is_left_out(folder: Path) -> None:
    # Gemma 3 1B lists <image_soft_token>, for which only its larger siblings have a row.
    content = json.loads((folder / "tokenizer.json").read_text())
    image = content["added_tokens"][0] | {"id": 320, "content": "<image>"}
    change(folder / "tokenizer.json", added_tokens=[*content["added_tokens"], image])
    ids = Tokenizer.from_str(read(folder).tokenizer_json).encode("<image>").ids
    assert ids == Tokenizer.from_str(tiny_tokenizer_json()).encode("<image>").ids
    assert max(ids) < 320


@pytest.mark.parametrize("file", ["config.json", "generation_config.json"])
@pytest.mark.parametrize("eos", [320, -1, "2", 2.0, True, [2, 320], [[2]]])
def test_an_ending_that_is_no_token_is_named(file: str, eos: Any, folder: Path) -> None:
    change(folder / file, eos_token_id=eos)
    with pytest.raises(NotAModel, match=rf"{file}: eos_token_id is '.+', which is none of the 320 tokens"):
        read(folder)


def test_a_bos_token_that_the_tokenizer_lacks_is_named(folder: Path) -> None:
    change(folder / "tokenizer_config.json", bos_token="<s>", add_bos_token=True)
    with pytest.raises(NotAModel, match=r"tokenizer_config\.json: bos_token '<s>' is not a token"):
        read(folder)


def test_a_padding_of_a_million_million_tokens_is_never_carried_out(folder: Path) -> None:
    pad = {"direction": "Right", "pad_to_multiple_of": None, "pad_id": 0, "pad_type_id": 0, "pad_token": "a"}
    change(folder / "tokenizer.json", padding={"strategy": {"Fixed": 10**12}, **pad})
    change(folder / "tokenizer_config.json", add_bos_token=None)
    assert read(folder).add_bos is False


@pytest.mark.parametrize("name", ["tokenizer_config.json", "generation_config.json", "special_tokens_map.json"])
@pytest.mark.parametrize("content", [b"[]", b"{", b"\xff", b"[" * 100_000])
def test_a_malformed_file_beside_the_tokenizer_is_named(name: str, content: bytes, folder: Path) -> None:
    (folder / name).write_bytes(content)
    with pytest.raises(NotAModel, match=name.replace(".", r"\.")):
        read(folder)


def test_named_templates_of_odd_types_are_no_templates(folder: Path) -> None:
    change(folder / "tokenizer_config.json", chat_template=[{"name": ["default"], "template": "x"}, 7])
    assert read(folder).chat_template is None
