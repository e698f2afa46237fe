"""The file of experiments, read and checked as a whole.

    version: 1                            # of the file's schema
    experiments:
      - name: politer                     # names it in results; salt of its draws
        task: reply
        variants: [plain, polite]         # of the task; the others are compared with the first one
        rollout: 0.2                      # share of sessions that take part; 1 by default
      - name: shots
        version: 2                        # raise it to draw all sessions afresh; 1 by default
        enabled: true                     # the default
        task: sentiment
        variants:
          - plain
          - {name: question, weight: 3}   # drawn three times as often; 1 by default
        start: 2027-01-04T00:00:00+00:00  # with a time zone; either may be left out
        end: 2027-02-01T00:00:00+00:00

Unknown keys are errors; an empty list of experiments runs none.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from edge_autoglm.errors import ExperimentError, TaskFileError
from edge_autoglm.learn.experiments.experiment import Experiment
from edge_autoglm.prompts.fields import Field, read_fields

SCHEMA_VERSION = 1
_OPTIONAL = ("version", "enabled", "rollout", "start", "end")


def load_experiments(path: Path) -> tuple[Experiment, ...]:
    """Read and check a file of experiments.

    Raises:
        ExperimentError: It cannot be read, or a field is missing, unknown or wrong; names file, field and line.
    """
    try:
        root = read_fields(path)
        fields = root.mapping(required=("version", "experiments"))
        if fields["version"].integer() != SCHEMA_VERSION:
            raise fields["version"].error(
                f"is {fields['version'].integer()}, not {SCHEMA_VERSION}", "Use the version of this package's schema."
            )
        items = fields["experiments"].items(at_least=0)
        experiments = tuple(map(_experiment, items))
        _check_names(items, experiments)
    except TaskFileError as error:  # the fields are those of task files, the file is none
        raise ExperimentError(error.cause, error.cure.replace("Write a task into it.", _EMPTY)) from error
    return experiments


_EMPTY = 'Write "version: 1" and "experiments: []" into it to run none.'


def _experiment(field: Field) -> Experiment:
    fields = field.mapping(required=("name", "task", "variants"), optional=_OPTIONAL)
    readers = {"version": Field.integer, "enabled": _flag, "rollout": Field.number, "start": _time, "end": _time}
    settings: dict[str, Any] = {name: read(fields[name]) for name, read in readers.items() if name in fields}
    variants = [_variant(item) for item in fields["variants"].items()]
    names, weights = zip(*variants, strict=True)
    try:
        return Experiment(fields["name"].text(), fields["task"].text(), names, weights, **settings)
    except ExperimentError as error:
        raise field.error(f"is wrong: {error.cause}", error.cure) from error


def _variant(field: Field) -> tuple[str, float]:
    """Name and weight."""
    if not isinstance(field.node, yaml.MappingNode):
        return field.text(), 1.0
    fields = field.mapping(required=("name",), optional=("weight",))
    return fields["name"].text(), fields["weight"].number() if "weight" in fields else 1.0


def _flag(field: Field) -> bool:
    text = field.text()
    if text not in ("true", "false"):
        raise field.error(f"is {text}", "Write true or false.")
    return text == "true"


def _time(field: Field) -> datetime:
    text = field.text()
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))  # Python 3.10 does not know Z
    except ValueError as error:
        raise field.error(f"is {text!r}, no time", "Write it as 2027-01-04T00:00:00+00:00.") from error


def _check_names(items: list[Field], experiments: tuple[Experiment, ...]) -> None:
    found: set[str] = set()
    for item, experiment in zip(items, experiments, strict=True):
        if experiment.name in found:
            raise item.error(f"is named {experiment.name}, as one before it", "Give each a name of its own.")
        found.add(experiment.name)
