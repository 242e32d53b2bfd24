"""Chat templates of model families, rendered as transformers renders them."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from jinja2 import TemplateError
from jinja2.ext import loopcontrols
from jinja2.sandbox import ImmutableSandboxedEnvironment

from service.domain import Message, Tool
from service.engine.models.template_traits import Render

TEMPLATES = Path(__file__).parent.parent / "templates"
FAMILIES = sorted(path.stem for path in TEMPLATES.glob("*.jinja"))


def family_render(family: str) -> Render:
    return template_render((TEMPLATES / f"{family}.jinja").read_text())


def template_render(source: str) -> Render:
    """Return a renderer with the environment of transformers (`chat_template_utils`) and the arguments that vLLM passes."""
    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = _to_json
    environment.globals |= {"raise_exception": _raise, "strftime_now": lambda form: datetime.now().strftime(form)}
    template = environment.from_string(source)

    def render(messages: list[dict[str, Any]], tools: list[dict[str, Any]] | None) -> str:
        return template.render(messages=messages, tools=tools, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")

    return render


def as_sent(message: Message) -> dict[str, Any]:
    """Return a message as an engine passes it to the template: arguments of calls as objects, and no empty fields."""
    calls = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": json.loads(call.arguments)}}
        for call in message.tool_calls
    ]
    fields = {"name": message.name, "tool_calls": calls or None, "tool_call_id": message.tool_call_id}
    return {"role": message.role, "content": message.content} | {key: value for key, value in fields.items() if value is not None}


def as_offered(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _to_json(value: Any, indent: int | None = None) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _raise(message: str) -> NoReturn:
    raise TemplateError(message)
