"""A new job in three steps: the data, the model, and a quote before anything is held. No step needs JavaScript."""

import hashlib
from dataclasses import asdict, dataclass, replace
from decimal import Decimal, InvalidOperation
from io import BytesIO
from typing import Any, BinaryIO, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from marketplace import storage
from marketplace.actions import datasets, jobs, quotes
from marketplace.actions.once import canonical, once
from marketplace.dashboard.access import Viewer, acting_user, page, require_scope
from marketplace.dashboard.new_job_draft import CHOSEN_MOST, RECIPE, SAMPLE, Draft, ModelForm, default_target, usable
from marketplace.dashboard.waiting import obstacle_sentences
from marketplace.domain.access import Scope
from marketplace.domain.errors import NotFound, Refused
from marketplace.models import Dataset, Job
from marketplace.tables.preview import first_rows
from workers.protocol import gpu_tag

PREVIEW_ROWS, PREVIEW_COLUMNS = 6, 12
LISTED = 8  # datasets that are offered again
NAMED = 20  # workers that a quote shows
MAX_PASTED = 2 * 1024**2
PARTS_AT_ONCE = (
    4  # a file of no more goes in one piece, as the client sends it: 32 MiB, where parts have their usual size
)
KNOWN = "This job was submitted before: here it is, and nothing more is held. Submit it again makes another one."


@dataclass(frozen=True)
class Column:
    """A column of the data as the first step shows it."""

    place: int
    name: str
    dtype: str
    missing: int
    usable: bool
    ticked: bool


def find(draft: Draft, user: Any) -> Dataset | None:
    """The draft's dataset; None for the network's sample.

    Raises:
        Http404: there is none of this user's.
    """
    if draft.dataset == SAMPLE:
        return None
    try:
        return datasets.find_dataset(sha256=draft.dataset, user=user)
    except NotFound as refusal:
        raise Http404(str(refusal)) from None


def own_datasets(viewer: Viewer) -> list[Dataset]:
    found = Dataset.objects.filter(sample=False, deleted_at=None).order_by("-created_at")
    return list((found if viewer.sees_all else found.filter(owners__user=viewer.user_id))[:LISTED])


@page
def data_step(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Bring data, or look at those that were brought and say which columns to use."""
    require_scope(viewer, Scope.SUBMIT)
    draft = Draft.read(request.GET)
    if request.method == "POST":
        return _take_in(request, viewer, draft)
    context: dict[str, Any] = {"viewer": viewer, "draft": draft, "step": 1}
    if not draft.dataset:
        return render(request, "dashboard/new_job_data.html", context | _ways(viewer))
    if draft.dataset == SAMPLE:
        return redirect(f"{reverse('new-job-model')}?{draft.query}")
    dataset = find(draft, acting_user(request))
    if dataset is None:
        raise Http404("There are no such data.")
    return render(request, "dashboard/new_job_columns.html", context | _preview(draft, dataset))


def _ways(viewer: Viewer) -> dict[str, Any]:
    """What the first step says of ways to bring data."""
    return {
        "listed": own_datasets(viewer),
        "parts_above": PARTS_AT_ONCE * settings.UPLOAD_PART_BYTES,
        "upload_most": settings.MAX_UPLOAD_BYTES,
    }


def _preview(draft: Draft, dataset: Dataset) -> dict[str, Any]:
    ticked = set(draft.columns or [])
    columns = [
        Column(i, each["name"], each["dtype"], each["missing"], usable(each), i in ticked if ticked else usable(each))
        for i, each in enumerate(dataset.columns)
    ]
    if draft.columns is not None and draft.target is not None and draft.target < len(columns):
        columns[draft.target] = replace(columns[draft.target], ticked=True)
    upload, matrix = storage.path("uploads", dataset.pk), storage.path("matrices", dataset.matrix_sha256)
    target = draft.target if draft.target is not None else default_target(dataset)
    if target is not None and target >= len(columns):
        target = None
    return {
        "dataset": dataset,
        "columns": columns,
        "choosable": len(columns) <= CHOSEN_MOST,
        "rough": [column for column in columns if not column.usable],
        "recipe": {name: draft.rest.get(name, "") for name in RECIPE},
        "target": target,
        "shown_columns": columns[:PREVIEW_COLUMNS],
        "hidden_columns": max(0, len(columns) - PREVIEW_COLUMNS),
        "rows": first_rows(upload, matrix, dataset.format, PREVIEW_ROWS, PREVIEW_COLUMNS),
        "carried": [(name, value) for name, value in draft.rest.items() if name not in RECIPE]
        + ([("reward", draft.reward)] if draft.reward else []),
    }


def _take_in(request: HttpRequest, viewer: Viewer, draft: Draft) -> HttpResponse:
    """Store what was uploaded or pasted, and look at it."""
    user, pasted = acting_user(request), request.POST.get("pasted", "")
    file = request.FILES.get("file")
    try:
        if file is not None:
            dataset = datasets.store_upload(stream=cast(BinaryIO, file.file), filename=file.name or "", user=user)
        elif pasted.strip():
            if len(pasted) > MAX_PASTED:
                raise Refused(f"More than {MAX_PASTED:,} characters were pasted; upload them as a file.")
            stream = BytesIO(pasted.replace("\r\n", "\n").encode())
            dataset = datasets.store_upload(stream=stream, filename="pasted.csv", user=user)
        else:
            raise Refused("Choose a file, or paste a table; or take the sample.")
    except Refused as refusal:
        context = {"viewer": viewer, "draft": draft, "step": 1, "refused": str(refusal), "pasted": pasted[:MAX_PASTED]}
        return render(request, "dashboard/new_job_data.html", context | _ways(viewer), status=refusal.status)
    chosen = replace(draft, dataset=dataset.pk, target=None, columns=None)
    return redirect(f"{reverse('new-job')}?{chosen.query}")


@page
def model_step(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """Which model, with which parameters, paid by whom."""
    require_scope(viewer, Scope.SUBMIT)
    draft = Draft.read(request.GET)
    if not draft.dataset:
        return redirect("new-job")
    dataset = find(draft, acting_user(request))
    defaults = {"model_type": "linear_regression" if dataset is None or dataset.default_target else "kmeans_clustering"}
    form = ModelForm(initial=defaults | dict(draft.rest), viewer=viewer)
    return show_model(request, viewer, draft, dataset, form)


def show_model(
    request: HttpRequest, viewer: Viewer, draft: Draft, dataset: Dataset | None, form: ModelForm, status: int = 200
) -> HttpResponse:
    context = {"viewer": viewer, "draft": draft, "dataset": dataset, "form": form, "step": 2}
    if dataset is not None:
        place = draft.target if draft.target is not None else default_target(dataset)
        names = dataset.column_names
        context["target"] = names[place] if place is not None and place < len(names) else ""
    return render(request, "dashboard/new_job_model.html", context, status=status)


@page
def quote_step(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """What the job would take. Submitting it is the same address, posted: only that holds a reward."""
    require_scope(viewer, Scope.SUBMIT)
    draft, user = Draft.read(request.GET), acting_user(request)
    if not draft.dataset:
        return redirect("new-job")
    dataset = find(draft, user)
    form = ModelForm(dict(draft.rest), viewer=viewer)
    if not form.is_valid():
        return show_model(request, viewer, draft, dataset, form, status=400)
    try:
        submission = form.submission(draft, dataset)
        quote = quotes.quote(submission=submission, user=user)
    except Refused as refusal:
        form.add_error(None, str(refusal))
        return show_model(request, viewer, draft, dataset, form, status=refusal.status)
    try:
        if request.method == "POST":
            job, known = _submit(request, submission, user)
            if known:
                messages.info(request, KNOWN)
            else:
                messages.success(request, "The job is submitted and its reward is held.")
            return redirect("job", job_id=job.pk)
        if draft.reward:
            asked = replace(submission, reward=_reward(draft.reward))
            quote = quotes.quote(submission=asked, user=user)
    except Refused as refusal:
        return show_quote(request, viewer, draft, submission, quote, refused=str(refusal), status=refusal.status)
    return show_quote(request, viewer, draft, submission, quote)


def show_quote(
    request: HttpRequest,
    viewer: Viewer,
    draft: Draft,
    submission: jobs.Submission,
    quote: dict[str, Any],
    refused: str = "",
    status: int = 200,
) -> HttpResponse:
    context = {
        "viewer": viewer,
        "draft": draft,
        "step": 3,
        "quote": quote,
        "client_address": submission.client_address,
        "able": quote["workers"][:NAMED],
        "unnamed": quote["workers_able"] - len(quote["workers"][:NAMED]),
        "kept_out": obstacle_sentences(quote["excluded"], gpu_tag(submission.requirements.get("gpu_type") or "")),
        "short": quote["balance_after"] is not None and quote["balance_after"] < 0,
        "missing": -quote["balance_after"] if quote["balance_after"] is not None else 0,
        "refused": refused,
        "deadline_seconds": submission.deadline_seconds or settings.POLICY.deadline_seconds,
    }
    return render(request, "dashboard/new_job_quote.html", context, status=status)


def _reward(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise Refused("reward must be a number of tokens.") from None


class SubmitForm(forms.Form):
    reward = forms.DecimalField()


def _submit(request: HttpRequest, submission: jobs.Submission, user: Any) -> tuple[Job, bool]:
    """The job, and whether it was made before: what is asked is its own idempotency key.

    So the same job asked for again (a second click, the browser's Back) leads to the first while the key is kept.

    Raises:
        Refused: as the submission is.
    """
    sent = SubmitForm(request.POST)
    if not sent.is_valid():
        raise Refused("reward must be a number of tokens.")
    reward = sent.cleaned_data["reward"]
    asked = replace(submission, reward=reward)
    body = canonical("job", asdict(asked) | {"reward": str(reward.normalize())})
    key = f"page:{hashlib.sha256(body).hexdigest()}"

    def act() -> bytes:
        return str(jobs.submit(submission=asked, user=user).pk).encode()

    job_id, known = once(user=user, key=key, request=body, act=act)
    return Job.objects.get(pk=job_id.decode()), known
