"""`firstword model`: the command line and its output. `service.model_report` does the work; it is imported only when it runs."""

import sys
import warnings
from importlib.util import find_spec
from typing import Annotated

import typer

from service.console.output import STDOUT, print_in_any_encoding, write_report
from service.console.progress import step
from service.console.tables import table_console
from service.errors import StartError

_GPUS_GIB = (24.0, 48.0, 80.0, 141.0)
"""Sizes of common GPUs."""


def model(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FOLDER-OR-ID", help="What FIRSTWORD_MODEL may be: `embedded`, a folder or a Hugging Face model ID."
        ),
    ],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object instead of tables.")] = False,
    prompt: Annotated[bool, typer.Option("--prompt", help="Also print the prompt of a sample turn with tools.")] = False,
    call_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of a call, prompt and answer. Not more than the model's context.")
    ] = 4096,
    gpu_gib: Annotated[
        list[float] | None,
        typer.Option(min=1, help="Memory of each GPU in GiB. Repeat it to compare. By default 24, 48, 80 and 141."),
    ] = None,
    kv_gib: Annotated[
        float | None, typer.Option(min=0, help="Memory for the KV cache alone in GiB, of all GPUs of a replica.")
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="A commit, tag or branch of a model ID. By default that of FIRSTWORD_ENGINE_ARGS.")
    ] = None,
) -> None:
    """Show what Firstword would do with a model: formats, thinking, memory, a self-test. It needs no GPU and no weights.

    The settings (FIRSTWORD_*) are those of `firstword serve`. Of a model ID, only small files are downloaded.

    Exit status: 0 if the model would be served, 1 if it would be refused, 2 if it was not found or a setting is wrong.
    """
    if find_spec("transformers") is None:
        raise StartError("transformers is not installed here. Run `firstword model` in the image that serves.")
    from service.domain import PromptSettings
    from service.engine.models.model_profile import ParserSettings
    from service.model_report.find_model import find_model
    from service.model_report.look import Options, look
    from service.model_report.report import as_json as json_of
    from service.model_report.tables import show
    from service.settings import load_settings, read_template

    print_in_any_encoding()
    warnings.simplefilter("ignore")  # The libraries warn of each other's deprecated functions.
    settings = load_settings()
    options = Options(
        parsers=ParserSettings(settings.tool_parser, settings.reasoning_parser, settings.allow_unproven),
        prompts=PromptSettings(settings.thinking, settings.template_kwargs, read_template(settings.chat_template)),
        engine_args=settings.engine_args,
        call_tokens=call_tokens,
        gpus_gib=tuple(gpu_gib or (() if kv_gib is not None else _GPUS_GIB)),
        kv_gib=kv_gib,
        shows_prompt=prompt,
    )
    folder = find_model(name, revision or settings.engine_args.get("revision"))
    with step(f"Reading {folder.name}"):
        report = look(folder, options)
    if as_json:
        write_report(json_of(report), STDOUT)
    else:
        show(report, table_console(is_on_stderr=False))
    if report.refusal is not None:
        print(f"firstword: {report.refusal}", file=sys.stderr)
        raise typer.Exit(1)
