"""Endpoints that answer the plain question, but get one other request of a platform wrong."""

from itertools import pairwise
from typing import Any

from tests.check.broken import breaks
from tests.check.good_server import GoodHandler, Json


class _Picky(GoodHandler):
    def is_too_much(self, request: Json) -> bool:
        raise NotImplementedError

    def respond(self, request: Json) -> None:
        if self.is_too_much(request):
            self.send_error_body(400, "I don't take that.")
        else:
            super().respond(request)


@breaks("request.history", "fail")
class KnowsNoSystemRole(_Picky):
    def is_too_much(self, request: Json) -> bool:
        return any(message["role"] == "system" for message in request["messages"])


@breaks("request.history", "fail")
class ForgetsAfterFourMessages(_Picky):
    def is_too_much(self, request: Json) -> bool:
        return len(request["messages"]) > 4


@breaks("request.turn-order", "warn")
class WantsRolesToAlternate(_Picky):
    """As the chat templates of Gemma and Mistral do."""

    def is_too_much(self, request: Json) -> bool:
        roles = [message["role"] for message in request["messages"] if message["role"] != "system"]
        return roles[:1] == ["assistant"] or any(role == after for role, after in pairwise(roles))


@breaks("request.content-parts", "warn")
class TakesTextAlone(_Picky):
    def is_too_much(self, request: Json) -> bool:
        return any(isinstance(message["content"], list) for message in request["messages"])


@breaks("request.sampling", "fail")
class KnowsNoPenalties(_Picky):
    def is_too_much(self, request: Json) -> bool:
        return "frequency_penalty" in request


@breaks("request.extra-fields", "fail")
class RefusesWhatItDoesNotKnow(_Picky):
    def is_too_much(self, request: Json) -> bool:
        return "x_conversation_id" in request


@breaks("request.max-tokens", "fail")
class HasALimitOfItsOwn(GoodHandler):
    """It answers with `length` too, but at its own limit."""

    def limit(self, request: Json) -> int:
        limit = super().limit(request)
        return 10 if limit < 10 else limit


@breaks("request.max-tokens", "warn")
class KnowsMaxTokensAlone(GoodHandler):
    def limit(self, request: Json) -> int:
        return super().limit({**request, "max_completion_tokens": None})


@breaks("request.max-tokens", "warn")
class RefusesMaxCompletionTokens(_Picky):
    def is_too_much(self, request: Json) -> bool:
        return "max_completion_tokens" in request


@breaks("request.max-tokens", "fail")
class CutsInSecret(GoodHandler):
    def reason(self, request: Json) -> str:
        return "stop"


@breaks("request.stop", "warn")
class RunsOverStop(GoodHandler):
    def all_words(self, request: Json) -> list[str]:
        return super().all_words({**request, "stop": None})


@breaks("request.json", "warn")
class TalksAboutJson(GoodHandler):
    def all_words(self, request: Json) -> list[str]:
        return super().all_words({**request, "response_format": None})


@breaks("request.json", "warn")
class RefusesResponseFormats(_Picky):
    def is_too_much(self, request: Json) -> bool:
        return "response_format" in request


@breaks("request.tools", "warn", {"request.tool-result": "warn"})
class KnowsNoTools(_Picky):
    def is_too_much(self, request: Json) -> bool:
        return "tools" in request


def _has_result(request: Json) -> bool:
    return any(message["role"] == "tool" for message in request["messages"])


@breaks("request.tool-result", "warn")
class TakesNoResults(_Picky):
    def is_too_much(self, request: Json) -> bool:
        return _has_result(request)


@breaks("request.tool-result", "warn")
class SaysNothingToResults(GoodHandler):
    def all_words(self, request: Json) -> list[str]:
        return [] if _has_result(request) else super().all_words(request)


@breaks("request.tool-result", "warn")
class BreaksAtResults(GoodHandler):
    def chunks(self, request: Json) -> list[Json]:
        error: dict[str, Any] = {"error": {"message": "no such template"}}
        return [*super().chunks(request), error] if _has_result(request) else super().chunks(request)
