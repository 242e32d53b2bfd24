"""control_marks: which texts of a vocabulary and a template are structure."""

from dataclasses import dataclass

import pytest

from service.engine.models.control_marks import added_and_special_tokens, control_marks, marks_in
from tests.normalize.families import TEMPLATES, template_of


def test_all_special_tokens_and_the_added_tokens_that_look_like_marks_are_taken() -> None:
    added = ["<tool_call>", "[THINK]", "｜DSML｜", "◁think▷", "|||IP|||", "]~b]", "\n\n", "  ", "word", "<", "[[", "<a b>", "<="]
    special = ["<s>", "<|im_end|>", "eop", "!", "", " ", "▁<PRE>"]
    assert control_marks(added, special, None) == {
        "<tool_call>", "[THINK]", "｜DSML｜", "◁think▷", "|||IP|||", "]~b]", "<s>", "<|im_end|>", "eop", "▁<PRE>",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "marks"),
    [
        ("{{ '<|im_start|>' + message['role'] + '\n' }}{{ messages[0] }}", {"<|im_start|>"}),
        ("{%- if a < b and c > d %}[INST] {{ x[1:] }} [/INST]{% endif %}", {"[INST]", "[/INST]"}),
        ('{{ "<function=" ~ name ~ ">\\n<parameter=" ~ key ~ ">" }}', {"<function=", "<parameter="}),
        ("'<invoke name=\"' + name + '\">' </invoke>", {"<invoke name=", "</invoke>"}),
        ("<<SYS>>\\n{{ system }}\\n<</SYS>>", {"<<SYS>>", "<</SYS>>"}),
        ("[|system|]{{ a['b'] }}[|endofturn|]", {"[|system|]", "[|endofturn|]"}),
        ("<｜tool▁calls▁begin｜>◁think▷", {"<｜tool▁calls▁begin｜>", "◁think▷"}),
        ('{"a": [1, "x"], "B": [true]} messages[I] <- -> <> < b > [X] []', set()),
    ],
)
def test_a_templates_own_marks_are_found(source: str, marks: set[str]) -> None:
    assert marks_in(source) == marks


@pytest.mark.parametrize(
    ("family", "marks"),
    [
        ("qwen3", {"<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_response>", "<think>"}),
        ("mistral", {"[INST]", "[/INST]", "[TOOL_CALLS]", "[/TOOL_RESULTS]", "[AVAILABLE_TOOLS]"}),
        ("gemma3", {"<start_of_turn>", "<end_of_turn>"}),
        ("llama3", {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}),
    ],
)
def test_the_marks_of_a_family_are_found_without_its_vocabulary(family: str, marks: set[str]) -> None:
    assert family in TEMPLATES
    assert marks <= control_marks((), (), template_of(family))


@dataclass
class Added:
    content: str
    special: bool


class Tokenizer:
    """Has what tokenizers of transformers have."""

    def __init__(self) -> None:
        self.all_special_tokens = ["</s>"]
        self.added_tokens_decoder = {1: Added("<s>", special=True), 2: Added("<tool_call>", special=False)}

    def get_added_vocab(self) -> dict[str, int]:
        return {token.content: token_id for token_id, token in self.added_tokens_decoder.items()}


def test_a_tokenizer_says_which_tokens_are_added_and_which_are_special() -> None:
    added, special = added_and_special_tokens(Tokenizer())
    assert added == {"<s>", "<tool_call>"}
    assert special == {"<s>", "</s>"}
