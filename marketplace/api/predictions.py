"""What a verified job's model says of rows, as CSV: of the job's own table, and of rows that are brought."""

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.renderers import BaseRenderer, BrowsableAPIRenderer, JSONRenderer

from marketplace import storage
from marketplace.actions.jobs import find_job
from marketplace.actions.predictions import own_table, predict
from marketplace.api.base import Call, Missing, Refusal, Strict
from marketplace.api.files import FileSlice
from marketplace.csv_files import CsvResponse
from marketplace.domain.access import Scope

CSV = {(200, "text/csv"): OpenApiTypes.BINARY, (404, "application/json"): Missing}


class Rows(Strict):
    file = serializers.FileField(help_text="A .csv, .parquet or .npy file with the columns of the fit.", use_url=False)


class CsvRenderer(BaseRenderer):
    """Makes `Accept: text/csv` known; the file itself is streamed, refusals are JSON."""

    media_type = "text/csv"
    format = "csv"

    def render(self, data, accepted_media_type=None, renderer_context=None):
        if renderer_context:
            renderer_context["response"]["Content-Type"] = "application/json"
        return JSONRenderer().render(data)


class OwnTable(Call):
    """The job's own table as it was brought, with predictions, labels or components of each row as further columns.

    Rows are in the table's order. A row with a gap that its recipe dropped has empty cells there.
    """

    renderer_classes = (JSONRenderer, BrowsableAPIRenderer, CsvRenderer)

    @extend_schema(tags=["jobs"], operation_id="job_table", responses=CSV)
    def get(self, request, job_id):
        header, rows = own_table(job=find_job(job_id=job_id, user=self.acting_user))
        return CsvResponse(f"{str(job_id)[:8]}-table.csv", header, rows)


class Predict(Call):
    """What the job's model says of the rows of a file: a line for each, computed on the trusted side, at no price.

    The file has the columns that were fitted, by name; others of the fitted table may be there too and are passed over.
    Nothing of it is kept.
    """

    scope = Scope.SUBMIT
    parser_classes = (MultiPartParser,)
    renderer_classes = (JSONRenderer, BrowsableAPIRenderer, CsvRenderer)
    serializer_class = Rows

    def before_body(self, request, length: int, **_) -> None:
        storage.require_free(2 * length)

    @extend_schema(
        tags=["jobs"],
        operation_id="job_predict",
        responses=CSV | {(400, "application/json"): OpenApiResponse(Refusal, "Refused; nothing was changed.")},
    )
    def post(self, request, job_id):
        job = find_job(job_id=job_id, user=self.acting_user)
        file = self.parsed()["file"]
        found = predict(job=job, stream=file.file, filename=file.name)
        size = found.seek(0, 2)
        found.seek(0)
        headers = {"Content-Length": str(size), "Cache-Control": "private, no-transform"}
        return FileSlice(found, size, content_type="text/csv; charset=utf-8", headers=headers)
