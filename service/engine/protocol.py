"""The engine protocol: the one seam between a turn and whatever generates its words.

Two implementations: `vllm.VllmEngine` (the real one) and `scripted.ScriptedEngine` (deterministic, no torch). The same
contract tests run on both.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import fields
from typing import Any, Protocol, TypeVar

from service.domain import Adapter, ChatJob, EngineStep, ModelCard, PreparedTurn, Step
from service.errors import PromptTooLong, StartError, did_you_mean


class Engine(Protocol):
    """Made cold; `start` makes it warm."""

    @property
    def model(self) -> ModelCard:
        """What is served; known before `start`."""
        ...

    @property
    def is_healthy(self) -> bool:
        """False once the engine has died: it never recovers, the process must be replaced."""
        ...

    @property
    def unfinished(self) -> int:
        """Turns that wait for the engine's next step. One that is generated and not yet read to its end is finished."""
        ...

    @property
    def max_adapters(self) -> int:
        """LoRA adapters that can be loaded at once; 0: none."""
        ...

    def watch_steps(self, listener: Callable[[EngineStep], None]) -> None:
        """Tell the listener of every step, on the event loop. Call before `start`; a listener must be quick."""
        ...

    async def start(self) -> None:
        """Load the model. Returns when turns can run. Raises `StartError`."""
        ...

    async def load_adapter(self, name: str, path: str) -> Adapter:
        """Check a LoRA adapter in a local folder against the model, and load it. A turn uses it by `ChatJob.adapter`.

        Raises `AdapterRefused`; nothing of it is left in the engine then. The caller keeps to `max_adapters`.
        """
        ...

    async def unload_adapter(self, adapter: Adapter) -> None:
        """Free an adapter's memory. Call once no turn uses it."""
        ...

    async def prepare(self, job: ChatJob) -> PreparedTurn:
        """Render the template and tokenize, a large prompt off the event loop.

        Raises `InvalidRequest` (`PromptTooLong`), or `EngineFailed`.
        """
        ...

    def generate(self, turn: PreparedTurn, *, trace_headers: Mapping[str, str] | None = None) -> AsyncGenerator[Step, None]:
        """Run a turn; the last event of the last step is `Finished`. The engine's own spans, if it makes any, continue the trace
        of `trace_headers` (W3C); without them the turn is not traced.

        The first `anext` raises what the engine's own checks refuse (`InvalidRequest`); any may raise `EngineFailed`.
        Closing the generator, or cancelling the task in it, stops the generation in the engine and frees its memory.
        """
        ...

    def stop(self, timeout_s: float) -> None:
        """End the engine and its processes; blocks for up to about `timeout_s`. Safe to call twice, or before `start`."""
        ...


def completion_room(job: ChatJob, *, prompt_tokens: int, max_model_len: int) -> int:
    """Completion tokens a choice may have: what was asked, or what the context leaves. Raises `PromptTooLong` at none."""
    room = max_model_len - prompt_tokens
    if room < 1:
        raise PromptTooLong(limit=max_model_len, given=prompt_tokens)
    return room if job.max_tokens is None else min(job.max_tokens, room)


ArgsT = TypeVar("ArgsT")


def build_args(args_class: type[ArgsT], defaults: Mapping[str, Any], given: Mapping[str, Any]) -> ArgsT:
    """Make a dataclass of engine arguments by name. Raises `StartError` with the nearest valid name for an unknown one."""
    known = [field.name for field in fields(args_class)]  # type: ignore[arg-type]  # a dataclass, by contract
    for name in given:
        if name not in known:
            raise StartError(f"FIRSTWORD_ENGINE_ARGS: {args_class.__name__} has no field {name!r}{did_you_mean(name, known)}")
    try:
        return args_class(**{**defaults, **given})
    except (TypeError, ValueError) as error:
        raise StartError(f"FIRSTWORD_ENGINE_ARGS: {error}") from None
