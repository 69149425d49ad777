"""The sealed log: its newest checkpoint for everybody, and proofs of rows for those whose rows they are."""

from drf_spectacular.utils import OpenApiParameter
from rest_framework.exceptions import ValidationError
from rest_framework.generics import get_object_or_404
from rest_framework.permissions import AllowAny
from rest_framework.response import Response

from marketplace.actions import proofs
from marketplace.actions.checkpoints import as_document
from marketplace.api.base import Call, Page, documented
from marketplace.api.clients import seen_clients
from marketplace.api.serializers.sealed import LogState, Proofs, ProofsPage

MAX_ROWS = 100  # of a page: a row comes with a path of hashes
EXTENDS = OpenApiParameter("extends", int, description="Show that the checkpoint extends the first so many leaves.")
LIMIT = OpenApiParameter("limit", int, description=f"How many at most; {MAX_ROWS} if left out and at most.")
OFFSET = OpenApiParameter("offset", int, description="How many to pass over first.")


class Log(Call):
    """The sealed log's newest checkpoint and the public key that signed it. Needs no key.

    Keep it: with `extends` a later answer shows that nothing before it was changed.
    """

    authentication_classes = ()
    permission_classes = (AllowAny,)

    @documented(LogState, tags=["log"], operation_id="log", parameters=[EXTENDS])
    def get(self, request):
        text = request.query_params.get("extends")
        if text is not None and not (text.isascii() and text.isdigit() and len(text) <= 18 and int(text) > 0):
            raise ValidationError({"extends": "This must be a whole number above 0."})
        return Response(proofs.state(extends=int(text) if text else None))


class ProofPage(Page):
    """Pages of at most 100."""

    def get_limit(self, request) -> int:
        return self._whole(request, "limit", MAX_ROWS, minimum=1, maximum=MAX_ROWS)


class ClientProofs(Call):
    """What the sealed log holds of a client's wallet and jobs, each with its path to the newest checkpoint.

    What is newer than the checkpoint comes with the next one. `computenet verify` checks the answer.
    """

    @documented(
        ProofsPage, missing=True, tags=["log"], operation_id="client_proofs", parameters=[LIMIT, OFFSET]
    )  # fmt: skip
    def get(self, request, address: str):
        client = get_object_or_404(seen_clients(request.user), address=address)
        last = proofs.newest()
        page, size = ProofPage(), last.size if last else 0
        leaves = page.paginate_queryset(proofs.of_client(client, size), request)
        stated = as_document(last) if last else None
        return Response({"checkpoint": stated, "rows": proofs.prove(leaves or [], size), "count": page.count})


class JobProof(Call):
    """What the sealed log holds of a job: its receipt's transfers, events and verdicts, each with its path.

    The client sees all of it; a contributor what is about the attempts of its own workers.
    """

    @documented(Proofs, missing=True, refused=False, tags=["log"], operation_id="job_proof")
    def get(self, request, job_id):
        last = proofs.newest()
        size = last.size if last else 0
        leaves = list(proofs.of_job(job_id=job_id, user=self.acting_user, size=size))
        return Response({"checkpoint": as_document(last) if last else None, "rows": proofs.prove(leaves, size)})
