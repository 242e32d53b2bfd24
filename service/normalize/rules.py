"""The list of rules, in the order in which they are applied. Each docstring is a row of `docs/normalization.md`.

Reading rules come first and do not depend on the template. The other rules then change only what the template does not support.
No rule trims text, because white space inside a message belongs to the caller. The order matters. Control marks are broken before
a rule writes marks of its own (`<tool_call>`). Tools are described before system messages are moved, and system messages are
moved before roles are made to alternate.
"""

from service.normalize import call_ids, control_text, drafts, role_rules, tool_history, tools_as_text
from service.normalize.context import Rule
from service.normalize.drafts import ReadingRule

READING_RULES: tuple[ReadingRule, ...] = (
    drafts.developer_role,
    drafts.refusal_text,
    drafts.content_parts,
    drafts.null_content,
    drafts.thoughts,
    drafts.function_messages,
)

RULES: tuple[Rule, ...] = (
    tool_history.call_arguments,
    control_text.control_text,
    role_rules.dropped_reasoning,
    role_rules.names,
    role_rules.empty_messages,
    tools_as_text.tools_described,
    tool_history.dangling_results,
    tool_history.late_results,
    tools_as_text.calls_as_text,
    tools_as_text.results_as_text,
    tool_history.paired_results,
    tool_history.text_beside_calls,
    tool_history.parallel_calls,
    call_ids.result_names,
    call_ids.short_call_ids,
    call_ids.named_call_ids,
    role_rules.late_system,
    role_rules.folded_system,
    role_rules.opening_user,
    tool_history.text_before_calls,
    role_rules.repeated_roles,
    role_rules.closing_user,
    role_rules.roles_around_calls,
)
