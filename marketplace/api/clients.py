"""Clients: registering one, its balance, the list."""

from django.db.models import QuerySet
from rest_framework.generics import get_object_or_404
from rest_framework.response import Response

from marketplace.actions.clients import register_client
from marketplace.api.base import Call, Listing, Page, documented
from marketplace.api.permissions import seen_by
from marketplace.api.serializers.clients import ClientSerializer, RegisterClient, RegisteredClient
from marketplace.domain.access import Scope
from marketplace.models import Client


def seen_clients(user) -> QuerySet[Client]:
    return seen_by(user, Client.objects.select_related("wallet"), owner="user")


class Register(Call):
    """Register a client. In the sandbox it starts with `initial_balance` tokens (1000 if left out)."""

    scope = Scope.SUBMIT
    serializer_class = RegisterClient

    @documented(RegisteredClient, tags=["client"], once=True, operation_id="client_register")
    def post(self, request):
        given = self.parsed()
        client = register_client(
            address=given["client_address"], initial_balance=given.get("initial_balance"), user=self.acting_user
        )
        return Response({"success": True, **ClientSerializer(client).data})


class Balance(Call):
    """What a client's wallet holds, in tokens."""

    @documented(ClientSerializer, missing=True, refused=False, tags=["client"], operation_id="client_balance")
    def get(self, request, address: str):
        client = get_object_or_404(seen_clients(request.user), address=address)
        return Response(ClientSerializer(client).data)


class Clients(Listing):
    """The clients, by name. Workers are not among them."""

    serializer_class = ClientSerializer
    pagination_class = Page.of("clients")

    def get_queryset(self):
        return seen_clients(self.request.user).order_by("address")

    @documented(ClientSerializer(many=True), tags=["client"], operation_id="client_list")
    def get(self, request):
        return self.list(request)
