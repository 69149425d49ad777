"""Keys of one's own, invitations and grants."""

from django.urls import reverse
from rest_framework.response import Response

from marketplace.actions import grants, invitations, keys
from marketplace.api.base import Call, Page, documented
from marketplace.api.serializers.access import (
    GrantSerializer,
    InvitationSerializer,
    KeySerializer,
    MadeGrant,
    MadeInvitation,
    MadeKey,
    MakeGrant,
    MakeInvitation,
    MakeKey,
    Revoked,
)
from marketplace.domain.access import Scope
from marketplace.domain.errors import Refused
from marketplace.models import ApiKey, Grant, Invitation

ANY_WRITE = frozenset(Scope) - {Scope.READ}


class Keys(Call):
    """Your keys, newest first; and making one, which is shown in the answer and never again.

    A key makes no key that is stronger than itself.
    """

    scope = ANY_WRITE
    serializer_class = MakeKey
    pagination_class = Page.of("keys")

    @documented(KeySerializer(many=True), refused=False, tags=["access"], operation_id="key_list")
    def get(self, request):
        page = self.paginate_queryset(ApiKey.objects.filter(user_id=request.user.pk))
        return self.get_paginated_response(KeySerializer(page, many=True).data)

    @documented(MadeKey, tags=["access"], once=True, operation_id="key_make")
    def post(self, request):
        given = self.parsed()
        if self.acting_user is None:
            raise Refused("The sandbox needs no keys; log in to make one for trying them.")
        made = keys.make_key(user=self.acting_user, by=self.api_key, **given)
        return Response({"success": True, "key": made.secret, **KeySerializer(made.key).data})


class RevokeKey(Call):
    """End a key at once."""

    scope = ANY_WRITE

    @documented(Revoked, missing=True, tags=["access"], once=True, operation_id="key_revoke")
    def post(self, request, key_id):
        self.parsed()
        if self.acting_user is None:
            raise Refused("Log in first: keys belong to accounts.")
        return Response({"success": True, **KeySerializer(keys.revoke(key_id=key_id, user=self.acting_user)).data})


class Invitations(Call):
    """The invitations, newest first; and making one, whose code is shown in the answer and never again."""

    scope = read_scope = Scope.OPERATE
    serializer_class = MakeInvitation
    pagination_class = Page.of("invitations")

    @documented(InvitationSerializer(many=True), refused=False, tags=["access"], operation_id="invitation_list")
    def get(self, request):
        page = self.paginate_queryset(Invitation.objects.all())
        return self.get_paginated_response(InvitationSerializer(page, many=True).data)

    @documented(MadeInvitation, tags=["access"], once=True, operation_id="invitation_make")
    def post(self, request):
        made = invitations.invite(actor=self.actor, **self.parsed())
        url = request.build_absolute_uri(f"{reverse('account_signup')}?code={made.code}")
        answer = {"success": True, "code": made.code, "url": url}
        return Response(answer | InvitationSerializer(made.invitation).data)


class Grants(Call):
    """What operators give, newest first; and giving, once or every month, out of the treasury."""

    scope = read_scope = Scope.OPERATE
    serializer_class = MakeGrant
    pagination_class = Page.of("grants")

    @documented(GrantSerializer(many=True), refused=False, tags=["access"], operation_id="grant_list")
    def get(self, request):
        page = self.paginate_queryset(Grant.objects.select_related("wallet"))
        return self.get_paginated_response(GrantSerializer(page, many=True).data)

    @documented(MadeGrant, missing=True, tags=["access"], once=True, operation_id="grant_make")
    def post(self, request):
        made = grants.make_grant(actor=self.actor, **self.parsed())
        return Response({"success": True, **GrantSerializer(made).data})


class StopGrant(Call):
    """Pay no more of a grant."""

    scope = Scope.OPERATE

    @documented(MadeGrant, missing=True, tags=["access"], once=True, operation_id="grant_stop")
    def post(self, request, grant_id):
        self.parsed()
        stopped = grants.stop_grant(grant_id=grant_id, actor=self.actor)
        return Response({"success": True, **GrantSerializer(stopped).data})
