"""Every error this package raises on purpose.

Each one names the cause and the cure in one line, so that the command line can print it as it is::

    EdgeAutoGLMError
    +-- SourceError              a checkpoint cannot be used
    |   +-- SourceNotFound           no such file, folder or hub id
    |   +-- NotAModel                the file is something else
    |   +-- TruncatedSource          shorter than its own header says
    |   +-- UnsupportedModel         family, rope type or tensor layout that the exporter does not know
    |       +-- UnknownArchitecture      no family of ours has it
    +-- ExportError              no bundle can be made: disk, permissions, existing output, unknown options
    |   +-- UnusableText             a text for calibration or proof is missing, not UTF-8 or too short
    |   +-- OverBudget               the engine differs from the original by more than its precision may
    +-- BundleError              a bundle on disk cannot be used
    |   +-- DamagedBundle            a file is missing, resized or altered
    |   +-- ForeignBundle            not a bundle, or of another schema version
    |   +-- UntrustedBundle          unsigned, signed by a stranger, or altered since
    |   +-- ForeignSoftPrompt        a soft prompt was computed by another engine
    |   +-- DamagedPlan              a TensorRT plan that was rebuilt on this device is missing or altered
    +-- PromptError              a task file or the input of a request is wrong
    |   +-- TaskFileError            names file and field
    |   +-- TemplateError            undefined variable, syntax, sandbox violation
    |   +-- UnknownTask, UnknownVariant
    |   +-- InputRejected            missing, superfluous or unusable request input
    |   +-- OutputRejected           the answer is not what the task lets out
    |   +-- PromptTooLong            does not fit the capacity of a KV slot
    +-- EngineError              an engine was asked for something it cannot do
    |   +-- SlotFull                 the KV slot has no room for the tokens
    |   +-- MemoryBudgetExceeded     what is to stay in memory does not fit the budget
    +-- RequestError             sampling settings out of range, no request slot in time
    |   +-- Overloaded               as many requests wait as may
    |   +-- DeadlineExceeded         no answer in the time that the caller gave
    +-- ToolError                a function cannot be a tool: no types, no docstring, a name that is taken
    +-- FeedbackError
    |   +-- UnknownDecision          the id was never handed out, or its record is gone
    |   +-- InvalidReward            NaN, infinite or outside 0..1
    +-- StateError               the state folder cannot be used
    |   +-- StateNotWritable
    |   +-- StateLocked              another process has it open
    |   +-- StateDamaged
    +-- PolicyError              a policy's setting is out of range, or it was given no arms
    +-- ExperimentError          an experiment, or the file of them, is wrong; names both, and the line
    +-- EvolveError              a search for prompts cannot run as asked: settings, examples, budget
    |   +-- ExamplesFileError        a file of labelled examples is wrong; names file and line
    +-- SwapError                no generation to roll back to, runtime closed
    +-- MissingDependency        an optional package is needed; says which extra brings it
    +-- DeviceUnavailable        the device that was asked for cannot run the bundle here; says what is missing
"""

from __future__ import annotations


class EdgeAutoGLMError(Exception):
    """Base of all errors raised on purpose.

    Args:
        cause: What is wrong, naming the file, field or value.
        cure: What the reader can do about it, as an imperative.
    """

    def __init__(self, cause: str, cure: str) -> None:
        super().__init__(cause, cure)
        self.cause = cause
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.cause}. {self.cure}" if not self.cause.endswith(".") else f"{self.cause} {self.cure}"


class SourceError(EdgeAutoGLMError):
    """A checkpoint cannot be used."""


class SourceNotFound(SourceError):
    """No such file, folder or hub id."""


class NotAModel(SourceError):
    """The file or folder is not a checkpoint."""


class TruncatedSource(SourceError):
    """A checkpoint file is shorter than its own header says."""


class UnsupportedModel(SourceError):
    """A family, rope type or tensor layout that the exporter does not know."""


class UnknownArchitecture(UnsupportedModel):
    """No decoder family of the exporter has this architecture."""


class ExportError(EdgeAutoGLMError):
    """No bundle can be made."""


class UnusableText(ExportError):
    """A text for calibration or for the proof is missing, not UTF-8 or too short."""


class OverBudget(ExportError):
    """The engine differs from the original by more than its precision may."""


class BundleError(EdgeAutoGLMError):
    """A bundle on disk cannot be used."""


class DamagedBundle(BundleError):
    """A file of the bundle is missing, resized or altered."""


class ForeignBundle(BundleError):
    """The folder is not a bundle, or of a schema version this package does not read."""


class UntrustedBundle(BundleError):
    """The bundle is not signed by a key that is trusted here, or was altered since."""


class ForeignSoftPrompt(BundleError):
    """A soft prompt's KV was computed by another engine than the one that is to go on behind it."""


class DamagedPlan(BundleError):
    """A TensorRT plan that was rebuilt on this device is missing, resized or altered; the bundle may be whole."""


class PromptError(EdgeAutoGLMError):
    """A task file or the input of a request is wrong.

    Args:
        cause: See the base class.
        cure: See the base class.
        field: The field of a task file, as ``variants[2].prompt``, where that is what is wrong.
        line: Its line there, from 1.
    """

    def __init__(self, cause: str, cure: str, *, field: str = "", line: int | None = None) -> None:
        super().__init__(cause, cure)
        self.field = field
        self.line = line


class TaskFileError(PromptError):
    """A task file is malformed; the cause names file and field."""


class TemplateError(PromptError):
    """A template has a syntax error, an undefined variable or left the sandbox."""


class UnknownTask(PromptError):
    """The catalogue has no task of that name."""


class UnknownVariant(PromptError):
    """The task has no variant of that name."""


class InputRejected(PromptError):
    """A request's input is missing, superfluous or unusable."""


class OutputRejected(PromptError):
    """An answer is not what the task lets out.

    Args:
        cause: See the base class.
        cure: See the base class.
        decision_id: Of the request; feedback for it tells the learner that its variant answers badly.
    """

    def __init__(self, cause: str, cure: str, decision_id: str = "") -> None:
        super().__init__(cause, cure)
        self.decision_id = decision_id


class PromptTooLong(PromptError):
    """The prompt does not fit the capacity of a KV slot."""


class EngineError(EdgeAutoGLMError):
    """An engine was asked for something it cannot do."""


class SlotFull(EngineError):
    """The KV slot has no room for the tokens."""


class MemoryBudgetExceeded(EngineError):
    """What is to stay in memory does not fit the budget."""


class RequestError(EdgeAutoGLMError):
    """Sampling settings are out of range, or no slot became free in time."""


class Overloaded(RequestError):
    """As many requests wait as may."""


class DeadlineExceeded(RequestError):
    """There was no answer in the time that the caller gave."""


class ToolError(EdgeAutoGLMError):
    """A function cannot be a tool; the cause names it and its parameter."""


class FeedbackError(EdgeAutoGLMError):
    """Feedback cannot be taken."""


class UnknownDecision(FeedbackError):
    """The decision id was never handed out here, or its record is gone."""


class InvalidReward(FeedbackError):
    """The reward is NaN, infinite or outside 0..1."""


class StateError(EdgeAutoGLMError):
    """The state folder cannot be used."""


class StateNotWritable(StateError):
    """The state folder cannot be written to."""


class StateLocked(StateError):
    """Another process has the state folder open."""


class StateDamaged(StateError):
    """A state file fails its checksum in the middle, where a torn write cannot be the reason."""


class PolicyError(EdgeAutoGLMError):
    """A policy's or its model's setting is out of range, or there are no arms to choose from."""


class ExperimentError(EdgeAutoGLMError):
    """An experiment or the file of them is wrong; the cause names file, line and experiment."""


class EvolveError(EdgeAutoGLMError):
    """A search for prompts cannot run as it was asked: settings, examples or budget."""


class ExamplesFileError(EvolveError):
    """A file of labelled examples is wrong; the cause names file and line."""


class SwapError(EdgeAutoGLMError):
    """There is no generation to roll back to, or the runtime is closed."""


class MissingDependency(EdgeAutoGLMError):
    """An optional package is needed; the cure says which extra brings it."""


class DeviceUnavailable(EdgeAutoGLMError):
    """The device that was asked for cannot run the bundle on this machine; the cause says what is missing."""
