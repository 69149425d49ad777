"""Who may call what. The sandbox is open, on loopback; everything else wants a signed-in user."""

from django.conf import settings
from rest_framework.permissions import BasePermission, IsAdminUser, IsAuthenticated


class SandboxOrSignedIn(BasePermission):
    """Anybody in the sandbox; a signed-in user elsewhere."""

    message = "Sign in: outside the sandbox every call needs a user."

    def has_permission(self, request, view) -> bool:
        return settings.SANDBOX or IsAuthenticated().has_permission(request, view)


class SandboxOrOperator(BasePermission):
    """Anybody in the sandbox; an operator (staff) elsewhere."""

    message = "This call is the operator's."

    def has_permission(self, request, view) -> bool:
        return settings.SANDBOX or IsAdminUser().has_permission(request, view)
