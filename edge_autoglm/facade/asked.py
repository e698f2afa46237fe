"""A request of a task, as an app puts it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from edge_autoglm.learn.context import ContextValue
from edge_autoglm.prompts.retrieved import NOTHING, Retrieved
from edge_autoglm.runtime.urgency import Urgency

Context = Mapping[str, ContextValue]


@dataclass(frozen=True, slots=True)
class Asked:
    """What ``Runtime.run`` was called with.

    Attributes:
        task: Its name.
        inputs: Of the task.
        context: What the app knows of the moment; ``None`` for nothing.
        variant: The app's choice; ``None`` leaves it to the runtime.
        session: Whose request it is: all of one session are treated alike by canaries and experiments. ``None`` treats
            each request for itself.
        urgency: When it is served.
        retrieved: What the variant that answers shows besides the inputs; filled in once that is chosen.
    """

    task: str
    inputs: Mapping[str, str]
    context: Context | None
    variant: str | None
    session: str | None
    urgency: Urgency
    retrieved: Retrieved = field(default=NOTHING)
