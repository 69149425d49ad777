"""Large files in parts: announced, put, asked for what is missing, finished."""

from io import BytesIO

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.response import Response

from marketplace.actions import uploads
from marketplace.api.base import Call, Missing, Refusal, documented
from marketplace.api.parsers import StreamParser
from marketplace.api.serializers.uploads import CreateUpload, PartedUploadSerializer
from marketplace.domain.access import Scope


class Uploads(Call):
    """Announce a file of up to `MAX_DATASET_BYTES`: its name, size and SHA-256. The answer says how to cut it.

    A file that you brought before is `ready` at once; an upload of the same that is open goes on, with its parts.
    """

    scope = Scope.SUBMIT
    serializer_class = CreateUpload

    @documented(PartedUploadSerializer, tags=["datasets"], operation_id="upload_create")
    def post(self, request):
        return Response(PartedUploadSerializer(uploads.create(user=self.acting_user, **self.parsed())).data)


class OneUpload(Call):
    """How an upload is: which parts are missing, how far reading is, what came of it."""

    @documented(PartedUploadSerializer, missing=True, refused=False, tags=["datasets"], operation_id="upload_detail")
    def get(self, request, upload_id):
        return Response(PartedUploadSerializer(uploads.find(upload_id=upload_id, user=self.acting_user)).data)


class Part(Call):
    """Put one part, counted from 0, of `part_bytes` (the last is what is left). The same again does no harm."""

    scope = Scope.SUBMIT
    parser_classes = (StreamParser,)

    def before_body(self, request, length: int, upload_id, number: int) -> None:
        user = request.user if request.user.is_authenticated else None
        uploads.require_part(upload_id=upload_id, number=number, size_bytes=length, user=user)

    @extend_schema(
        tags=["datasets"],
        operation_id="upload_part",
        request={"application/octet-stream": OpenApiTypes.BINARY},
        responses={
            200: OpenApiTypes.OBJECT,
            400: OpenApiResponse(Refusal, "There is no such part, or it has another size."),
            404: Missing,
            409: OpenApiResponse(Refusal, "The upload takes no more parts."),
        },
    )
    def put(self, request, upload_id, number: int):
        body = request.data if hasattr(request.data, "read") else BytesIO()
        length = int(request.META.get("CONTENT_LENGTH") or 0)
        uploads.put(upload_id=upload_id, number=number, size_bytes=length, body=body, user=self.acting_user)
        return Response({"success": True, "part": number})


class Finish(Call):
    """All parts are there: the coordinator checks the hash and reads the file. Ask until it is `ready` or `refused`."""

    scope = Scope.SUBMIT

    @extend_schema(
        tags=["datasets"],
        operation_id="upload_finish",
        responses={
            202: PartedUploadSerializer,
            400: OpenApiResponse(Refusal, "Refused; nothing was changed."),
            404: Missing,
            409: OpenApiResponse(Refusal, "Parts are missing."),
        },
    )
    def post(self, request, upload_id):
        self.parsed()
        upload = uploads.finish(upload_id=upload_id, user=self.acting_user)
        return Response(PartedUploadSerializer(upload).data, status=202)
