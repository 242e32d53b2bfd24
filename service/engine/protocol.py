"""The engine protocol: the interface between a turn and the engine that generates its tokens.

There are two implementations: `vllm.VllmEngine` (the real engine) and `scripted.ScriptedEngine` (deterministic, without torch).
The same contract tests run on both.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import fields
from typing import Any, Protocol, TypeVar

from service.domain import NO_PROMPT_SETTINGS, Adapter, ChatJob, EngineStep, ModelCard, PreparedTurn, PromptSettings, Step
from service.errors import PromptTooLong, StartError, did_you_mean


class Engine(Protocol):
    """An engine. It is created without a loaded model, and `start` loads the model."""

    @property
    def model(self) -> ModelCard:
        """The model that is served. It is known before `start`."""
        ...

    @property
    def is_healthy(self) -> bool:
        """False once the engine has died. It never recovers, so the process must be replaced."""
        ...

    @property
    def unfinished(self) -> int:
        """Number of turns that wait for the engine's next step. A turn that is generated but not yet fully read is finished."""
        ...

    @property
    def max_adapters(self) -> int:
        """Maximum number of LoRA adapters that can be loaded at once. 0 means that the engine takes none."""
        ...

    def watch_steps(self, listener: Callable[[EngineStep], None]) -> None:
        """Call the listener after every step, on the event loop. Call this before `start`. A listener must be fast."""
        ...

    async def start(self) -> None:
        """Load the model. Returns when turns can run. Raises `StartError`."""
        ...

    async def load_adapter(self, name: str, path: str, prompts: PromptSettings = NO_PROMPT_SETTINGS) -> Adapter:
        """Check a LoRA adapter in a local folder against the model, and load it. A turn selects it with `ChatJob.adapter`.

        `prompts` are its own settings, which override those of the service.

        Raises `AdapterRefused`; then nothing of the adapter stays in the engine. Do not load more than `max_adapters`.
        """
        ...

    async def unload_adapter(self, adapter: Adapter) -> None:
        """Free an adapter's memory. Call this only when no turn uses the adapter."""
        ...

    async def prepare(self, job: ChatJob) -> PreparedTurn:
        """Render the chat template and tokenize the prompt. A large prompt is rendered off the event loop.

        Raises `InvalidRequest` (also `PromptTooLong`) or `EngineFailed`.
        """
        ...

    def generate(self, turn: PreparedTurn, *, trace_headers: Mapping[str, str] | None = None) -> AsyncGenerator[Step, None]:
        """Run a turn. The last event of the last step is `Finished`.

        The engine's own spans, if any, continue the trace of `trace_headers` (W3C). Without headers the turn is not traced.

        The first `anext` raises `InvalidRequest` if the engine's own checks refuse the turn. Each may raise `EngineFailed`.
        Closing the generator, or cancelling the task in it, stops the generation in the engine and frees its memory.
        """
        ...

    def stop(self, timeout_s: float) -> None:
        """Stop the engine and its processes. Blocks for about `timeout_s` at most. Safe to call twice, or before `start`."""
        ...


def completion_room(job: ChatJob, *, prompt_tokens: int, max_model_len: int) -> int:
    """Return the maximum completion tokens of a choice: what was requested, or what the context leaves if that is less.

    Raises `PromptTooLong` if the context leaves none.
    """
    room = max_model_len - prompt_tokens
    if room < 1:
        raise PromptTooLong(limit=max_model_len, given=prompt_tokens)
    return room if job.max_tokens is None else min(job.max_tokens, room)


ArgsT = TypeVar("ArgsT")


def build_args(args_class: type[ArgsT], defaults: Mapping[str, Any], given: Mapping[str, Any]) -> ArgsT:
    """Build a dataclass of engine arguments by name. Raises `StartError`; for an unknown name it shows the nearest valid name."""
    known = [field.name for field in fields(args_class)]  # type: ignore[arg-type]  # always a dataclass
    for name in given:
        if name not in known:
            raise StartError(f"FIRSTWORD_ENGINE_ARGS: {args_class.__name__} has no field {name!r}{did_you_mean(name, known)}")
    try:
        return args_class(**{**defaults, **given})
    except (TypeError, ValueError) as error:
        raise StartError(f"FIRSTWORD_ENGINE_ARGS: {error}") from None
