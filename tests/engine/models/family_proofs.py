"""What is proven of a family: its sample outputs are read right, and so is the call that its own template writes as history."""

from collections.abc import Mapping
from typing import Any

from service.engine.models.model_profile import ModelProfile
from service.engine.models.readers.answer import AnswerReader
from service.engine.models.self_test import self_test
from service.engine.models.token_texts import TokenTexts
from tests.engine.models.families import Family
from tests.engine.models.family_models import profile_of, source_of, tokenizer_of
from tests.engine.models.readers.reading import OFFERED, read_tokens

HISTORY = "a call that the chat template wrote"


def proof_of(of: Family) -> str:
    """Return the words of docs/models.md: how many outputs are read right, and whether a call of the history is."""
    texts, profile = TokenTexts(tokenizer_of(of)), profile_of(of)
    right, outputs = sum(_is_read(texts, profile, output) for output in of.outputs), len(of.outputs)
    tried = self_test(source_of(of), profile, texts)
    has_history = any(each.what == HISTORY and each.is_right for each in tried)
    shown = f"{outputs} outputs" if right == outputs else f"{right} of {outputs} outputs"
    return f"{shown}, history" if has_history else shown


def _is_read(texts: TokenTexts, profile: ModelProfile, output: Mapping[str, Any]) -> bool:
    stream = texts.stream(())
    tokens = [piece for token_id in texts.encode(output["text"]) for piece in stream.next(token_id)]
    reader = AnswerReader(profile.answers, OFFERED, is_in_thought=output["prompt_opens_thought"])
    heard = read_tokens(reader, tokens)
    calls = [(call["name"], call["arguments"]) for call in output["calls"]]
    return (heard.content, heard.thought, heard.arguments) == (output["content"], output["reasoning"], calls)
