"""Who may do what: roles of people, scopes of keys."""

from collections.abc import Iterable
from enum import StrEnum


class Role(StrEnum):
    CLIENT = "client"
    CONTRIBUTOR = "contributor"
    OPERATOR = "operator"


class Scope(StrEnum):
    """What a call needs, and what a key may be limited to."""

    READ = "read"  # look at what is one's own
    SUBMIT = "submit"  # spend as a client: register, upload, submit, cancel, transfer
    CONTRIBUTE = "contribute"  # act as a contributor: register workers, stake, contest
    OPERATE = "operate"  # an operator's rights; without it an operator's key sees and does what anybody's does


NEEDED: dict[Scope, Role] = {
    Scope.SUBMIT: Role.CLIENT,
    Scope.CONTRIBUTE: Role.CONTRIBUTOR,
    Scope.OPERATE: Role.OPERATOR,
}


def scopes_of(roles: Iterable[Role]) -> frozenset[Scope]:
    """What somebody of `roles` may do. Everybody may read what is their own; an operator may do everything."""
    held = set(roles)
    if Role.OPERATOR in held:
        return frozenset(Scope)
    return frozenset({Scope.READ, *(scope for scope, role in NEEDED.items() if role in held)})
