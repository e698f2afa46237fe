"""What a request with tools may take."""

from __future__ import annotations

from dataclasses import dataclass

from edge_autoglm.errors import RequestError


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """Bounds of one request.

    Attributes:
        max_rounds: Calls that the model may make; then it has to answer.
        timeout: Seconds that a call may take, where the tool does not say otherwise.
        max_result_tokens: Of a result; what is longer is cut, and the model is told so.
        max_hanging: Calls that were given up but still run, of all requests of the runtime together; at so many no
            further tool is started.
    """

    max_rounds: int = 4
    timeout: float = 10.0
    max_result_tokens: int = 256
    max_hanging: int = 8

    def __post_init__(self) -> None:
        for name, least in (("max_rounds", 1), ("max_result_tokens", 8), ("max_hanging", 1)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RequestError(f"ToolLimits.{name} is {value!r}", f"Give {least} or more.")
        if not self.timeout > 0:
            raise RequestError(f"ToolLimits.timeout is {self.timeout}", "Give seconds above 0.")
