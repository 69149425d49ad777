"""What a page of this site may load and run: its own scripts and nothing else."""

from typing import Any

from csp.constants import UNSAFE_INLINE
from csp.middleware import CSPMiddleware, PolicyParts

ADMIN = "admin"


class ContentPolicy(CSPMiddleware):
    """`CONTENT_SECURITY_POLICY` on every answer.

    The pages that come from others, Django's admin, REST framework's browsable API and Swagger's, write styles into
    their HTML: those alone may. No page may run a script that is written into it.
    """

    def get_policy_parts(self, request: Any, response: Any, report_only: bool = False) -> PolicyParts:
        parts = super().get_policy_parts(request, response, report_only)
        match = request.resolver_match
        if hasattr(response, "accepted_renderer") or (match and ADMIN in match.app_names):
            parts.update = {"style-src": [UNSAFE_INLINE], **(parts.update or {})}
        return parts
