"""The list of rules, in the order in which they are applied. Each docstring is a row of `docs/normalization.md`.

Reading rules come first and do not depend on the template. The other rules then change only what the template does not support.
No rule trims text, because white space inside a message belongs to the caller. The order matters: tools are described before
system messages are moved, and system messages are moved before roles are made to alternate.
"""

from service.normalize import drafts, role_rules, tool_history
from service.normalize.context import Rule
from service.normalize.drafts import ReadingRule

READING_RULES: tuple[ReadingRule, ...] = (
    drafts.developer_role,
    drafts.refusal_text,
    drafts.content_parts,
    drafts.null_content,
    drafts.function_messages,
)

RULES: tuple[Rule, ...] = (
    role_rules.names,
    role_rules.empty_messages,
    tool_history.call_arguments,
    tool_history.tools_described,
    tool_history.calls_as_text,
    tool_history.dangling_results,
    tool_history.text_beside_calls,
    tool_history.parallel_calls,
    tool_history.short_call_ids,
    role_rules.late_system,
    role_rules.folded_system,
    role_rules.opening_user,
    role_rules.repeated_roles,
    role_rules.roles_around_calls,
    role_rules.closing_user,
)
