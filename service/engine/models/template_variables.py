"""Names that a chat template's variables must not have."""

RENDERERS_OWN = frozenset(
    {
        "self", "messages", "conversation", "conversations", "tools", "documents", "chat_template", "tokenizer", "tokenize",
        "tokenizer_kwargs", "add_generation_prompt", "continue_final_message", "return_dict", "return_tensors",
        "return_assistant_tokens_mask", "padding", "truncation", "max_length",
    }
)  # fmt: skip
"""Arguments of the renderers. As variables they would replace messages or tools, or change how a prompt is tokenized."""
