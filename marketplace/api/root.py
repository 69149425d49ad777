"""What a program finds at the front door."""

from django.conf import settings
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from marketplace.api.base import Call, documented
from marketplace.api.serializers.network import Index

ENDPOINTS = {
    "worker": {
        "register": "POST /worker/register",
        "invite": "POST /worker/invite",
        "status": "GET /worker/<id>/status",
        "stake": "POST /worker/<id>/stake",
        "unstake": "POST /worker/<id>/unstake",
        "reputation": "GET /worker/<id>/reputation",
        "verdicts": "GET /worker/<id>/verdicts",
        "contest": "POST /worker/<id>/contest",
        "answer": "GET /assignment/<id>/answer",
        "list": "GET /workers",
    },
    "client": {
        "register": "POST /client/register",
        "balance": "GET /client/<address>/balance",
        "list": "GET /clients",
    },
    "jobs": {
        "submit": "POST /job/submit",
        "submit many": "POST /jobs",
        "status": "GET /job/<id>/status",
        "result": "GET /job/<id>/result",
        "receipt": "GET /job/<id>/receipt",
        "cancel": "POST /job/<id>/cancel",
        "quote": "POST /quote",
        "list": "GET /jobs",
        "pending": "GET /jobs/pending",
    },
    "datasets": {
        "upload": "POST /datasets",
        "list": "GET /datasets",
        "detail": "GET /datasets/<id>",
        "announce": "POST /uploads",
        "part": "PUT /uploads/<id>/parts/<number>",
        "finish": "POST /uploads/<id>/finish",
        "progress": "GET /uploads/<id>",
        "receivers": "POST /datasets/<id>/receivers",
        "delete": "POST /datasets/<id>/delete",
    },
    "pools": {
        "list": "GET /pools",
        "change": "POST /pools/<name>",
    },
    "token": {
        "about": "GET /token",
        "balance": "GET /token/balance/<name>",
        "transfer": "POST /token/transfer",
        "approve": "POST /token/approve",
        "transfer-from": "POST /token/transfer-from",
        "allowance": "GET /token/allowance",
        "faucet": "POST /token/faucet",
    },
    "access": {
        "keys": "GET /keys",
        "make-key": "POST /keys",
        "revoke-key": "POST /keys/<id>/revoke",
        "invitations": "GET /invitations",
        "invite": "POST /invitations",
        "grants": "GET /grants",
        "grant": "POST /grants",
        "stop-grant": "POST /grants/<id>/stop",
    },
    "network": {
        "stats": "GET /network/stats",
        "start": "POST /network/coordination/start",
        "stop": "POST /network/coordination/stop",
        "trigger": "POST /network/coordination/trigger",
        "health": "GET /health",
        "ready": "GET /health/ready",
        "metrics": "GET /metrics",
        "schema": "GET /schema/",
        "documentation": "GET /docs/",
    },
}


class Root(Call):
    """The calls that there are."""

    authentication_classes = ()
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)

    @documented(Index, refused=False, tags=["network"], operation_id="index")
    def get(self, request):
        return Response({"name": "computenet", "version": settings.VERSION, "endpoints": ENDPOINTS})
