"""Makes a `ToolUse` from `tools` and `tool_choice`, or from the legacy `functions` and `function_call`."""

from collections.abc import Sequence

from service.domain import Tool, ToolUse
from service.errors import InvalidRequest
from service.normalize.json_schema import check_schema
from service.schema.request import ChatRequest
from service.schema.tools import FunctionName, FunctionSpec, NamedTool


def tool_use_of(request: ChatRequest) -> ToolUse | None:
    """Return the tools of a request. None if it offers none.

    Raises `InvalidRequest` if the request mixes both forms, or if the choice names no offered tool.
    """
    if request.tools and request.functions:
        raise InvalidRequest(
            "functions is the deprecated form of tools. Send only one of the two.", param="functions", code="invalid_value"
        )
    specs = [tool.function for tool in request.tools or ()]
    is_parallel = request.parallel_tool_calls is not False
    # Both forms are checked. Otherwise a choice in the form that is not offered would be ignored silently.
    new = _tool_use("tools", specs, "tool_choice", request.tool_choice, is_parallel=is_parallel)
    # The legacy form supports only one call at a time.
    old = _tool_use("functions", request.functions or (), "function_call", request.function_call, is_parallel=False)
    return new or old


def _tool_use(
    field: str,
    specs: Sequence[FunctionSpec],
    choice_field: str,
    choice: str | NamedTool | FunctionName | None,
    *,
    is_parallel: bool,
) -> ToolUse | None:
    named = choice.function.name if isinstance(choice, NamedTool) else choice.name if isinstance(choice, FunctionName) else None
    if not specs:
        if named is not None or choice == "required":
            raise InvalidRequest(f"{choice_field} requires {field}. Add {field}.", param=choice_field, code="invalid_value")
        return None
    names = {spec.name for spec in specs}
    if len(names) < len(specs):
        raise InvalidRequest(f"{field} has two functions with the same name. Rename one.", param=field, code="invalid_value")
    if named is not None and named not in names:
        raise InvalidRequest(f"{choice_field} names a function that is not in {field}.", param=choice_field, code="invalid_value")
    for position, spec in enumerate(specs):
        check_schema(spec.parameters or {}, f"{field}[{position}]{'.function' if field == 'tools' else ''}.parameters")
    tools = tuple(_tool(spec) for spec in specs)
    if named is not None:
        return ToolUse(tools=tools, choice="named", named=named, is_parallel=is_parallel)
    if choice == "none":
        return ToolUse(tools=tools, choice="none")
    return ToolUse(tools=tools, choice="required" if choice == "required" else "auto", is_parallel=is_parallel)


def _tool(spec: FunctionSpec) -> Tool:
    return Tool(spec.name, spec.description, spec.parameters or {"type": "object", "properties": {}}, spec.strict)
