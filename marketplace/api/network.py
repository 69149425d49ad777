"""The network: its figures, its health, its coordination switch."""

from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from marketplace.actions import coordination, network, readiness
from marketplace.api.base import Call, documented
from marketplace.api.serializers.network import Done, Health, Ready, Stats
from marketplace.domain.access import Scope


class NetworkStats(Call):
    """The network's figures. Amounts are in tokens, times in seconds, rates in percent."""

    @documented(Stats, refused=False, tags=["network"], operation_id="network_stats")
    def get(self, request):
        return Response(network.stats())


class HealthCheck(Call):
    """Is it up, and is coordination on? Needs no key."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @documented(Health, refused=False, tags=["network"], operation_id="health")
    def get(self, request):
        return Response(network.health())


class ReadyCheck(Call):
    """Can it do its work now? Each thing that it rests on by name; 503 where one is missing. Needs no key."""

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @extend_schema(
        responses={200: Ready, 503: OpenApiResponse(Ready, "Something is missing.")},
        tags=["network"],
        operation_id="health_ready",
    )
    def get(self, request):
        checks = readiness.checks()
        ready = all(check.ok for check in checks)
        answer = {
            "ready": ready,
            "checks": {check.name: {"ok": check.ok, "detail": check.detail} for check in checks},
        }
        return Response(answer, status=200 if ready else 503)


class Start(Call):
    """Switch auto-coordination on: pending jobs are assigned by themselves."""

    scope = Scope.OPERATE

    @documented(Done, tags=["network"], once=True, operation_id="coordination_start")
    def post(self, request):
        self.parsed()
        coordination.set_active(active=True, actor=self.actor)
        return Response({"success": True, "message": "Auto-coordination is on: pending jobs are assigned."})


class Stop(Call):
    """Switch auto-coordination off: nothing new is assigned, what runs goes on, is checked and is paid."""

    scope = Scope.OPERATE

    @documented(Done, tags=["network"], once=True, operation_id="coordination_stop")
    def post(self, request):
        self.parsed()
        coordination.set_active(active=False, actor=self.actor)
        return Response({"success": True, "message": "Auto-coordination is off: pending jobs wait for a trigger."})


class Trigger(Call):
    """Assign pending jobs once, whether auto-coordination is on or off."""

    scope = Scope.OPERATE

    @documented(Done, tags=["network"], operation_id="coordination_trigger")
    def post(self, request):
        self.parsed()
        assigned = coordination.trigger(actor=self.actor)
        jobs = "1 job was" if assigned == 1 else f"{assigned} jobs were"
        return Response({"success": True, "message": f"Coordination ran once: {jobs} assigned."})
