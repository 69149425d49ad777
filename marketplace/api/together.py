"""The machines' calls about several assignments at once. Each of them gets what it would get in a call of its own."""

from io import BytesIO
from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.exceptions import ParseError

from marketplace.actions import answers, starts
from marketplace.actions.answers import Answer
from marketplace.api.base import Refusal, documented, shape
from marketplace.api.errors import body
from marketplace.api.machine_call import MachineCall, body_bytes
from marketplace.api.parsers import StreamParser, loads
from marketplace.api.serializers.machines import AnswersLine, AnswersReply, StartsReply, StartsRequest
from marketplace.domain.errors import Refused
from workers.protocol import TOGETHER_BYTES, TOGETHER_LINE_BYTES


class TooLarge(Refused):
    """The body is larger than the call takes."""

    status = 413


def refusal(refused: Refused) -> dict[str, Any]:
    return {"status": refused.status, "error": body(refused.status, str(refused))["error"]}


class Starts(MachineCall):
    """Begin several assignments and get the specification of each, in the order in which they are named."""

    serializer_class = StartsRequest

    @documented(StartsReply, tags=["machines"], operation_id="assignments_start")
    def post(self, request):
        found = starts.start_all(machine=self.machine, assignment_ids=self.parsed()["assignments"])
        return {"assignments": [_started(each) for each in found]}


def _started(found: Any) -> dict[str, Any]:
    return refusal(found) if isinstance(found, Refused) else {"status": 200, "specification": found}


class Results(MachineCall):
    """Hand in several small answers: a line of JSON, `{"answers": [{assignment, fence, sha256, seconds, size_bytes}]}`,
    and after it the answers' bytes, one after the other. Where line and bytes do not fit, nothing is taken in.
    """

    parser_classes = (StreamParser,)

    @extend_schema(
        tags=["machines"],
        operation_id="assignments_results",
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={
            200: AnswersReply,
            400: OpenApiResponse(Refusal, "The line, or the length of what comes after it, is wrong."),
        },
    )
    def post(self, request):
        found = answers.submit_all(machine=self.machine, answers=self._sent(request))
        return {"answers": [refusal(each) if each else {"status": 200} for each in found]}

    def _sent(self, request) -> list[Answer]:
        """The answers, none of which is read before the line says that all of them fit.

        Raises:
            TooLarge, ParseError, UnsupportedMediaType, ValidationError
        """
        length = body_bytes(request)
        if length > TOGETHER_BYTES:
            raise TooLarge(f"The body of this call may have {TOGETHER_BYTES:,} bytes at most.")
        if length:
            self.require(StreamParser.media_type)
        line = request.readline(TOGETHER_LINE_BYTES)
        if not line.endswith(b"\n"):
            raise ParseError(f"The body must begin with a line of JSON, of {TOGETHER_LINE_BYTES:,} bytes at most.")
        try:
            document = loads(line)
        except ValueError as error:
            raise ParseError(f"The first line is not valid JSON: {error}.") from None
        notes = shape(AnswersLine).run_validation(document)["answers"]
        named, came = sum(note["size_bytes"] for note in notes), length - len(line)
        if named != came:
            raise ParseError(f"The first line names {named:,} bytes of answers, and {came:,} came after it.")
        return [
            Answer(
                assignment_id=note["assignment"],
                fence=note["fence"],
                digest=note["sha256"],
                seconds=note["seconds"],
                body=BytesIO(request.read(note["size_bytes"])),
            )
            for note in notes
        ]
