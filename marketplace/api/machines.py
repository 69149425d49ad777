"""The calls of contributors' machines: `workers.protocol` over HTTP. None of them knows a user."""

import math
import re

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.permissions import AllowAny
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response

from marketplace.actions import assignments, heartbeats, workers
from marketplace.api.base import Call, Nothing, Refusal, documented
from marketplace.api.files import send_file
from marketplace.api.machine_auth import MachineAuthentication
from marketplace.api.machine_call import MachineCall, body_bytes
from marketplace.api.parsers import StreamParser
from marketplace.api.serializers.machines import (
    SHA256,
    EnrolReply,
    EnrolRequest,
    FailureRequest,
    HeartbeatReply,
    HeartbeatRequest,
    SpecificationReply,
)
from workers.protocol import DIGEST_HEADER, FENCE_HEADER, MOST_TOGETHER, PROTOCOL_HEADER, SECONDS_HEADER


class Enrol(Call):
    """Show an enrolment key, once, and get the worker's secrets and its queue.

    A machine that is enrolled already shows its secret in the place of a key, to say what it is now.
    """

    authentication_classes = (MachineAuthentication,)
    permission_classes = (AllowAny,)
    renderer_classes = (JSONRenderer,)
    serializer_class = EnrolRequest

    @documented(EnrolReply, tags=["machines"], operation_id="machine_enrol")
    def post(self, request):
        return Response(workers.enrol(request=self.parsed(), machine=request.auth))


class Heartbeat(MachineCall):
    """Say that the machine is there, and renew the leases that it names."""

    serializer_class = HeartbeatRequest

    @documented(HeartbeatReply, tags=["machines"], operation_id="machine_heartbeat")
    def post(self, request):
        protocol = request.headers.get(PROTOCOL_HEADER)
        reply = heartbeats.heartbeat(machine=self.machine, request=self.parsed(), protocol=protocol)
        return reply | {"together": MOST_TOGETHER}


class Start(MachineCall):
    """Begin an assignment and get its specification."""

    serializer_class = Nothing

    @documented(SpecificationReply, missing=True, tags=["machines"], operation_id="assignment_start")
    def post(self, request, assignment_id):
        self.parsed()
        return assignments.start(machine=self.machine, assignment_id=assignment_id)


class Matrix(MachineCall):
    """A dataset's matrix as `.npy`, whole or by Range, while a live assignment of the machine reads it."""

    answers_in = ("application/octet-stream", "application/json")

    @extend_schema(
        tags=["machines"],
        operation_id="matrix_download",
        responses={
            (200, "application/octet-stream"): OpenApiTypes.BINARY,
            (206, "application/octet-stream"): OpenApiTypes.BINARY,
            404: OpenApiResponse(description="No live assignment of this machine reads it."),
            416: OpenApiResponse(description="Nothing of the range is in the file."),
        },
        parameters=[OpenApiParameter("Range", OpenApiTypes.STR, OpenApiParameter.HEADER)],
    )
    def get(self, request, sha256: str):
        path = assignments.readable_matrix(machine=self.machine, sha256=sha256)
        return send_file(request, path, name=sha256, content_type="application/octet-stream")


class Result(MachineCall):
    """Hand in an answer, an uncompressed `.npz`. The same answer again is no harm; another one is refused."""

    parser_classes = (StreamParser,)

    def before_body(self, request, length: int, assignment_id) -> None:
        assignments.require_wanted(machine=request.auth, assignment_id=assignment_id, size_bytes=length)

    @extend_schema(
        tags=["machines"],
        operation_id="assignment_result",
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={
            200: OpenApiTypes.OBJECT,
            400: OpenApiResponse(Refusal, "The headers or the digest are wrong."),
            409: OpenApiResponse(Refusal, "Another answer to this assignment is in already."),
            410: OpenApiResponse(Refusal, "The assignment is dead."),
        },
        parameters=[
            OpenApiParameter(FENCE_HEADER, OpenApiTypes.INT, OpenApiParameter.HEADER, required=True),
            OpenApiParameter(DIGEST_HEADER, OpenApiTypes.STR, OpenApiParameter.HEADER, required=True),
            OpenApiParameter(SECONDS_HEADER, OpenApiTypes.NUMBER, OpenApiParameter.HEADER, required=True),
        ],
    )
    def put(self, request, assignment_id):
        if body_bytes(request):
            self.require(StreamParser.media_type)
        fence, digest, seconds = _headers(request)
        assignments.submit_result(
            machine=self.machine, assignment_id=assignment_id, fence=fence, digest=digest, seconds=seconds, body=request
        )
        return {"success": True}


def _headers(request) -> tuple[int, str, float]:
    """Fence, digest and seconds.

    Raises:
        ValidationError: one of them is missing or cannot be one.
    """
    fence = request.headers.get(FENCE_HEADER, "")
    if not re.fullmatch(r"[0-9]{1,5}", fence):
        raise ValidationError({FENCE_HEADER: "This header must be the assignment's fence, a whole number."})
    digest = request.headers.get(DIGEST_HEADER, "")
    if not SHA256.fullmatch(digest):
        raise ValidationError({DIGEST_HEADER: "This header must be the answer's SHA-256, 64 lower-case hex digits."})
    try:
        seconds = float(request.headers.get(SECONDS_HEADER, ""))
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds < 1e9:
        raise ValidationError({SECONDS_HEADER: "This header must be how many seconds computing took."})
    return int(fence), digest, seconds


class Failure(MachineCall):
    """Say that an assignment failed, and whose fault it looks like."""

    serializer_class = FailureRequest

    @documented(OpenApiTypes.OBJECT, missing=True, tags=["machines"], operation_id="assignment_failure")
    def post(self, request, assignment_id):
        given = self.parsed()
        assignments.fail(
            machine=self.machine,
            assignment_id=assignment_id,
            fence=given["fence"],
            fault=given["fault"],
            error=given["error"],
        )
        return {}
