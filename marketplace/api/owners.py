"""A worker's owner comes first: pause it, resume it, give it hours."""

from rest_framework.response import Response

from marketplace.actions import pauses
from marketplace.api.base import Call, Nothing, documented
from marketplace.api.serializers.workers import OwnersWish, PauseWorker, ScheduleWorker
from marketplace.domain.access import Scope


class Pause(Call):
    """Take nothing new. What the worker has it finishes, or hands back at once, which costs it nothing."""

    serializer_class = PauseWorker
    scope = Scope.CONTRIBUTE

    @documented(OwnersWish, missing=True, tags=["worker"], operation_id="worker_pause")
    def post(self, request, name: str):
        hand_back = self.parsed()["hand_back"]
        worker = pauses.set_paused(name=name, paused=True, user=self.acting_user, actor=self.actor, hand_back=hand_back)
        return Response({"success": True, **OwnersWish(worker).data})


class Resume(Call):
    """Take jobs again."""

    serializer_class = Nothing
    scope = Scope.CONTRIBUTE

    @documented(OwnersWish, missing=True, tags=["worker"], once=True, operation_id="worker_resume")
    def post(self, request, name: str):
        self.parsed()
        worker = pauses.set_paused(name=name, paused=False, user=self.acting_user, actor=self.actor)
        return Response({"success": True, **OwnersWish(worker).data})


class Schedule(Call):
    """Say at which hours the worker takes jobs."""

    serializer_class = ScheduleWorker
    scope = Scope.CONTRIBUTE

    @documented(OwnersWish, missing=True, tags=["worker"], once=True, operation_id="worker_schedule")
    def post(self, request, name: str):
        worker = pauses.set_schedule(name=name, **self.parsed(), user=self.acting_user, actor=self.actor)
        return Response({"success": True, **OwnersWish(worker).data})
