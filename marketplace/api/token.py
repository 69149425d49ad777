"""The token's calls, as ERC-20 names them."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.response import Response

from marketplace.actions import grants, tokens
from marketplace.api.base import Call, documented
from marketplace.api.serializers.clients import RegisteredClient
from marketplace.api.serializers.token import (
    AllowanceAnswer,
    Approved,
    DrawFromFaucet,
    MakeAllowance,
    MakeTransfer,
    MakeTransferFrom,
    Token,
    TokenBalance,
    Transferred,
    TransferredFrom,
)
from marketplace.domain.access import Scope
from marketplace.domain.errors import Refused

MAX_NAME = 64
# Both clients and contributors have wallets.
SPENDERS = frozenset({Scope.SUBMIT, Scope.CONTRIBUTE})


class TokenCall(Call):
    """The token: its name, its symbol, its decimals, and how many tokens there are."""

    @documented(Token, refused=False, tags=["token"], operation_id="token")
    def get(self, request):
        about = {"name": tokens.NAME, "symbol": tokens.SYMBOL, "decimals": tokens.DECIMALS}
        return Response(Token(about | {"total_supply": tokens.total_supply()}).data)


class Balance(Call):
    """What a wallet holds: yours, or any for an operator."""

    @documented(TokenBalance, missing=True, refused=False, tags=["token"], operation_id="token_balance")
    def get(self, request, name: str):
        return Response(TokenBalance(tokens.readable_wallet(name=name, user=request.user)).data)


class Transfer(Call):
    """Send tokens from a wallet of yours to another."""

    scope = SPENDERS
    serializer_class = MakeTransfer

    @documented(Transferred, missing=True, tags=["token"], once=True, operation_id="token_transfer")
    def post(self, request):
        given = self.parsed()
        source = tokens.own_wallet(name=given.get("from"), user=self.acting_user, field="from")
        made = tokens.transfer(
            source=source,
            to=given["to"],
            amount=given["amount"],
            api_key=self.api_key,
        )
        source.refresh_from_db()
        answer = {"success": True, "to": given["to"], "amount": made.amount, "balance": source.balance}
        return Response(Transferred(answer).data)


class Approve(Call):
    """Let another wallet take up to so much out of yours, in the place of what it was allowed before."""

    scope = SPENDERS
    serializer_class = MakeAllowance

    @documented(Approved, missing=True, tags=["token"], once=True, operation_id="token_approve")
    def post(self, request):
        given = self.parsed()
        owner = tokens.own_wallet(name=given.get("owner"), user=self.acting_user, field="owner")
        made = tokens.approve(
            owner=owner, spender=given["spender"], amount=given["amount"], api_key=self.api_key, actor=self.actor
        )
        answer = {"success": True, "owner": owner.name, "spender": given["spender"], "allowance": made.amount}
        return Response(Approved(answer).data)


class TransferFrom(Call):
    """Take tokens out of a wallet that allowed it to yours."""

    scope = SPENDERS
    serializer_class = MakeTransferFrom

    @documented(TransferredFrom, missing=True, tags=["token"], once=True, operation_id="token_transfer_from")
    def post(self, request):
        given = self.parsed()
        spender = tokens.own_wallet(name=given.get("spender"), user=self.acting_user, field="spender")
        made, left = tokens.transfer_from(
            owner=given["from"], spender=spender, to=given["to"], amount=given["amount"], api_key=self.api_key
        )
        answer = {"success": True, "to": given["to"], "amount": made.amount, "allowance": left}
        return Response(TransferredFrom(answer).data)


class Allowance(Call):
    """What one wallet may still take out of another, for the owner of either."""

    @documented(
        AllowanceAnswer,
        missing=True,
        tags=["token"],
        operation_id="token_allowance",
        parameters=[OpenApiParameter(name, OpenApiTypes.STR, required=True) for name in ("owner", "spender")],
    )
    def get(self, request):
        names = {field: request.query_params.get(field, "") for field in ("owner", "spender")}
        for field, name in names.items():
            if not 1 <= len(name) <= MAX_NAME or "\x00" in name:
                raise ValidationError({field: "Name a wallet here."})
        left = tokens.find_allowance(user=request.user, **names)
        return Response(AllowanceAnswer(names | {"allowance": left}).data)


class Faucet(Call):
    """The network's first tokens for a client of yours, once an account, where its e-mail address is confirmed."""

    scope = Scope.SUBMIT
    serializer_class = DrawFromFaucet

    @documented(RegisteredClient, missing=True, tags=["token"], once=True, operation_id="token_faucet")
    def post(self, request):
        given = self.parsed()
        if self.acting_user is None:
            raise Refused("The sandbox has no faucet: a client that registers gets its tokens.")
        client = grants.draw_from_faucet(address=given["to"], user=self.acting_user)
        answer = {"success": True, "address": client.address, "wallet": client.wallet}
        return Response(RegisteredClient(answer).data)
