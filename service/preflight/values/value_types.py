"""String types of the values, with the rules of Kubernetes, registries and DNS.

Helm matches the patterns with Go's regexp library, pydantic with Rust's. Use only syntax that both have. In both, `$` is the
end of the text.
"""

from typing import Annotated

from pydantic import Field

_LABEL = "[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_NAME = rf"{_LABEL}(\.{_LABEL})*"
# The last part begins with a letter, so an IP address does not match.
_HOSTNAME = rf"({_LABEL}\.)*[a-z]([a-z0-9-]{{0,61}}[a-z0-9])?"
_LABEL_VALUE = "[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_KEY = r"\.?[A-Za-z0-9_-][A-Za-z0-9._-]*"
_POOL = "[a-z]([a-z0-9-]{0,28}[a-z0-9])?"
_HUB_ID = "[A-Za-z0-9_][A-Za-z0-9._-]*(/[A-Za-z0-9_][A-Za-z0-9._-]*)?"
# No `$`: Kubernetes would replace $(NAME) with the value of a variable.
_FOLDER = r"/[^\x00-\x1f\x7f$]+"
_PATH_PART = "[A-Za-z0-9]+([._-]+[A-Za-z0-9]+)*"

Name = Annotated[str, Field(pattern=f"^({_NAME})?$", max_length=253)]
"""Name of a Kubernetes object, or empty."""
PoolName = Annotated[str, Field(pattern=f"^{_POOL}$")]
PoolNameOrNone = Annotated[str, Field(pattern=f"^({_POOL})?$")]
Hostname = Annotated[str, Field(pattern=f"^{_HOSTNAME}$", max_length=253)]
HostnameOrNone = Annotated[str, Field(pattern=f"^({_HOSTNAME})?$", max_length=253)]
Key = Annotated[str, Field(pattern=f"^{_KEY}$", max_length=253)]
"""Key in a Secret."""
LabelValue = Annotated[str, Field(pattern=f"^({_LABEL_VALUE})?$")]
Labels = dict[str, LabelValue]
Repository = Annotated[str, Field(pattern=f"^{_PATH_PART}(:[0-9]+)?(/{_PATH_PART})*$")]
Tag = Annotated[str, Field(pattern="^([A-Za-z0-9_][A-Za-z0-9._-]{0,127})?$")]
Digest = Annotated[str, Field(pattern="^(sha256:[0-9a-f]{64})?$")]
ModelName = Annotated[str, Field(pattern=f"^({_FOLDER}|{_HUB_ID})$")]
HubId = Annotated[str, Field(pattern=f"^({_HUB_ID})?$")]
Folder = Annotated[str, Field(pattern=f"^({_FOLDER})?$")]
Revision = Annotated[str, Field(pattern=r"^([^\s\x00-\x1f\x7f$-][^\s\x00-\x1f\x7f$]*)?$")]
Resource = Annotated[str, Field(pattern=f"^{_NAME}/{_LABEL_VALUE}$")]
"""Extended resource, which always has a domain."""
Size = Annotated[str, Field(pattern=r"^[1-9][0-9]*(\.[0-9]+)?([KMGTP]i|[kMGTP])$")]
Duration = Annotated[str, Field(pattern=r"^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h))+)$")]
Tenant = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f-\x9f{}]+$")]
"""Tenant, as in a key file. No braces: External Secrets would read them as a template."""
Thinking = Annotated[str, Field(pattern="^(off|auto|on)?$")]
VariableName = Annotated[str, Field(pattern="^[A-Za-z_][A-Za-z0-9_]*$")]
Url = Annotated[str, Field(pattern=r"^(https?://[^\s\x00-\x1f]+)?$")]
Words = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]*$")]
"""Text of one line, as callers may send it."""
