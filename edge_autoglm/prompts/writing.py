"""Writes a task file that means exactly the given task; comments of a file that it was read from are lost."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import yaml

from edge_autoglm.bundle.atomic import write_bytes_atomic
from edge_autoglm.errors import TaskFileError
from edge_autoglm.prompts.loader import load_task
from edge_autoglm.prompts.task import Task, Variant
from edge_autoglm.prompts.versions import UNVERSIONED
from edge_autoglm.values import SamplingParams

_NO_WRAPPING = 1 << 30


def write_task(task: Task, path: Path) -> None:
    """Write a task file. It is read back and compared before anything at ``path`` changes, and replaced in one step.

    Args:
        task: ``load_task(path)`` will be equal to it, except for the name of the file.
        path: Its folder must exist.

    Raises:
        TaskFileError: The task is not sound, or has something that a task file cannot say; or the file cannot be
            written.
        TemplateError: One of its templates is not sound.
    """
    content = task_yaml(task).encode("utf-8", "surrogatepass")
    with tempfile.TemporaryDirectory() as folder:
        draft = Path(folder) / path.name
        draft.write_bytes(content)
        _check_same(task, load_task(draft), path.name)
    try:
        write_bytes_atomic(path, content)
    except OSError as error:
        cause = f"{path.name}: the file cannot be written: {error.strerror or error}"
        raise TaskFileError(cause, f"Check that {path.parent} exists and may be written to.") from error


def task_yaml(task: Task) -> str:
    """The task as YAML; whether it means the same is checked by `write_task`.

    Raises:
        TaskFileError: It has a value that is no text, number, list or mapping.
    """
    plain: dict[str, Any] = {"name": task.name}
    if task.version != UNVERSIONED:
        plain["version"] = str(task.version)
    plain |= {"description": _Passage(task.description), "kind": task.kind, "inputs": _FlowList(task.inputs)}
    if task.labels:
        plain["labels"] = _FlowList(task.labels)
    plain["variants"] = [_variant(variant) for variant in task.variants]
    expected = task.expected or (None,) * len(task.probes)
    plain["probes"] = [_probe(*pair) for pair in zip(task.probes, expected, strict=True)]
    if task.golden:
        plain["golden"] = [
            {**_passages(question.inputs), "expect": _one_or_more(question.expect)} for question in task.golden
        ]
    guard = task.guard.plain()
    if guard:
        plain["guard"] = guard
    try:
        return yaml.dump(plain, Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=_NO_WRAPPING)
    except yaml.representer.RepresenterError as error:
        cause = f"task {task.name} has a {type(error.args[-1]).__name__}, which a task file cannot say"
        raise TaskFileError(cause, "Leave it out of the task.") from error


class _Passage(str):
    """A text of which the loader takes one line break off."""


class _FlowList(tuple[Any, ...]):
    """A list on one line."""


class _FlowMapping(dict[str, Any]):
    """A mapping on one line."""


class _Dumper(yaml.SafeDumper):
    """Block scalars for texts of several lines; escapes for whatever a YAML reader might change."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal parts out each time; people read the file."""
        return True


def _variant(variant: Variant) -> dict[str, Any]:
    plain: dict[str, Any] = {"name": variant.name}
    if variant.description:
        plain["description"] = _Passage(variant.description)
    if variant.made_by:
        plain["made_by"] = [_Passage(step) for step in variant.made_by]
    if variant.prompt is not None:
        plain["prompt"] = _Passage(variant.prompt)
    if variant.messages is not None:
        plain["messages"] = [{"role": each["role"], "content": _Passage(each["content"])} for each in variant.messages]
    if variant.answer is not None:
        plain["answer"] = _Passage(variant.answer)
    if variant.verbalizer:
        plain["verbalizer"] = _FlowMapping(_passages(variant.verbalizer))
    if variant.calibration:
        plain["calibration"] = _FlowMapping({label: float(prior) for label, prior in variant.calibration.items()})
    for name, wanted in (("shots", variant.shots), ("passages", variant.passages)):
        if wanted is not None:
            plain[name] = _FlowMapping(asdict(wanted))
    if variant.soft_prompt is not None:
        plain["soft_prompt"] = variant.soft_prompt
    decoding = _decoding(variant.sampling)
    return {**plain, "decoding": decoding} if decoding else plain


def _decoding(sampling: SamplingParams) -> dict[str, Any]:
    usual = SamplingParams()
    settings = {each.name: getattr(sampling, each.name) for each in fields(sampling)}
    changed = {name: value for name, value in settings.items() if value != getattr(usual, name)}
    return _FlowMapping({name: list(value) if name == "stop" else value for name, value in changed.items()})


def _probe(inputs: Mapping[str, str], expect: str | None) -> dict[str, Any]:
    return {**_passages(inputs), **({} if expect is None else {"expect": expect})}


def _passages(texts: Mapping[str, str]) -> dict[str, Any]:
    return {name: _Passage(text) for name, text in texts.items()}


def _one_or_more(texts: tuple[str, ...]) -> Any:
    return texts[0] if len(texts) == 1 else list(texts)


def _check_same(task: Task, read: Task, name: str) -> None:
    """The file says all there is to the task."""
    meant = replace(task, file=name, expected=task.expected or (None,) * len(task.probes))
    for each in fields(Task):
        if getattr(read, each.name) != getattr(meant, each.name):
            cause = f"{name}: {_difference(meant, read, each.name)} has something that a task file cannot say"
            raise TaskFileError(cause, "Leave it out of the task.")


def _difference(meant: Task, read: Task, name: str) -> str:
    """The field in which two tasks differ, as an error names it."""
    if name != "variants":
        return name
    for i, (ours, theirs) in enumerate(zip(meant.variants, read.variants, strict=True)):
        for each in fields(Variant):
            if each.compare and getattr(ours, each.name) != getattr(theirs, each.name):
                return f"variants[{i}].{each.name}"
    return name


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _represent_passage(dumper: yaml.SafeDumper, passage: _Passage) -> yaml.ScalarNode:
    return _represent_text(dumper, f"{passage}\n" if "\n" in passage else str(passage))


def _style(text: str) -> str | None:
    """Plain or single quotes for one line, a block for several, double quotes where either could change the text."""
    if text.isprintable():
        return None
    block = "".join(text.split("\n")).isprintable() and text.strip() and not text.startswith((" ", "\n"))
    return "|" if block else '"'


_Dumper.add_representer(str, _represent_text)
_Dumper.add_representer(_Passage, _represent_passage)
_Dumper.add_representer(
    _FlowList, lambda dumper, items: dumper.represent_sequence("tag:yaml.org,2002:seq", items, True)
)
_Dumper.add_representer(
    _FlowMapping, lambda dumper, items: dumper.represent_mapping("tag:yaml.org,2002:map", items, True)
)
