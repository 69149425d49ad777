"""What a client asks for, made sense of before any money is held: shared by quotes and submissions."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from marketplace.actions import audiences, datasets, matrices
from marketplace.actions.datasets import Brought
from marketplace.actions.weighing import weigh
from marketplace.domain.errors import NotFound, Refused
from marketplace.domain.matching import Demand
from marketplace.domain.money import to_tokens
from marketplace.domain.recipes import Options, Recipe
from marketplace.domain.words import counted
from marketplace.models import Client, Compiled, Dataset, Job
from workers.catalog import MODELS
from workers.catalog.base import CatalogModel
from workers.catalog.gpus import KNOWN_GPUS
from workers.catalog.parameters import ParameterError
from workers.protocol import gpu_tag

MAX_MEMORY_BYTES = 2**50


@dataclass(frozen=True)
class Submission:
    """A request for a job as it was sent."""

    client_address: str
    model_type: str
    reward: object = None
    dataset: str | None = None
    data: object = None
    input_data: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    target: str | int | None = None
    columns: Sequence[str | int] | None = None
    recipe: Mapping[str, Any] | None = None  # None: numbers without gaps, as they are
    requirements: Mapping[str, Any] = field(default_factory=dict)
    receivers: Mapping[str, Any] = field(default_factory=dict)
    deadline_seconds: float | None = None


@dataclass(frozen=True)
class Plan:
    """A request that can be done: what will be fitted, on what, by whom, in about how long."""

    model: CatalogModel
    brought: Brought  # its `keep` gives the dataset a row
    params: dict[str, Any]
    features: list[int]  # columns of the matrix; none where it is still to be made
    target: int | None
    demand: Demand
    quoted_seconds: float
    floor: int  # micro-tokens that such a job pays at least
    rows: int  # that are fitted on
    width: int | None  # columns that are fitted on; None where only making the matrix tells
    prepared: matrices.Prepared | None = None  # what a recipe makes of the dataset

    @property
    def dataset(self) -> Dataset:
        return self.brought.dataset

    @property
    def waits(self) -> bool:
        """Whether its matrix is still to be made: rows, time and floor are then what the dataset lets expect."""
        return self.prepared is not None and self.prepared.later

    def store(self) -> None:
        """Put what was brought and what was made of it in their places. That does not roll back."""
        self.brought.store()
        if self.prepared:
            self.prepared.store()


_client_at = Compiled(lambda address: Client.objects.select_related("wallet").filter(address=address), str)


def find_client(*, address: str, user: Any) -> Client:
    """The client of that address, where `user` may act for it: anybody in the sandbox, its owner or staff elsewhere.

    Raises:
        NotFound: there is none, or it is another's.
    """
    client = _client_at.first(address)
    if client is None or not (settings.SANDBOX or (user and (user.is_staff or client.user_id == user.pk))):
        raise NotFound(f"There is no client {str(address)[:64]}; register it first.")
    return client


def submission_of(job: Job) -> Submission:
    """What was asked for `job` (with its client, dataset and resource class), to be asked for once more.

    Columns are named by their places, for names may repeat digits; the deadline is the usual one.
    """
    receivers = audiences.receivers_of(job.resource_class.audience)
    dataset, need, model = job.dataset, job.resource_class, MODELS.get(job.model_type)
    place = {column["matrix_column"]: i for i, column in enumerate(dataset.columns)}
    if job.matrix is None:
        recipe, target = None, None if job.target is None else place[job.target]
        columns: list[str | int] | None = [place[feature] for feature in job.features]
    elif matrices.is_forgotten(job):  # which columns it was, nobody knows
        kept = Recipe.read(job.matrix.recipe)
        recipe = {name: value for name, value in kept.options.items() if name != "categories"}
        target = columns = None
    else:
        kept = Recipe.read(job.matrix.recipe)
        names, recipe = {name: i for i, name in enumerate(dataset.column_names)}, kept.options
        target = None if kept.target is None else names[kept.target]
        columns = [names[name] for name in kept.columns]
    if columns == [i for i in range(len(dataset.columns)) if i != target]:
        columns = None
    defaults = {parameter.name: parameter.default for parameter in model.parameters} if model else {}
    known = {gpu_tag(name): name for name in ("CPU", *KNOWN_GPUS)}
    demands = {
        "gpu_type": known.get(need.gpu_tag, ""),
        "min_memory_bytes": need.min_memory_bytes,
        "min_compute_capacity": need.min_compute_capacity,
    }
    return Submission(
        client_address=job.client.address,
        model_type=job.model_type,
        reward=to_tokens(job.reward),
        dataset=dataset.pk,
        params={name: value for name, value in job.params.items() if defaults.get(name) != value},
        target=target,
        columns=columns,
        recipe=recipe,
        requirements={name: value for name, value in demands.items() if value},
        receivers=receivers.as_json() if receivers else {},
    )


@contextmanager
def plan(submission: Submission, user: Any) -> Iterator[Plan]:
    """Find or read the data, and hold the request against the model's own rules.

    What came with the request lies aside until `Plan.brought.keep`, and is gone at the end if that is never called.

    Raises:
        Refused: with one sentence that says what to change.
    """
    model = _model(submission)
    with _brought(submission, model, user) as brought:
        yield _planned(submission, model, brought, user)


def plan_named(submission: Submission, user: Any, known: dict[str, Dataset]) -> Plan:
    """`plan`, of a request that names a dataset; `known` keeps what was found, for the next one.

    Raises:
        NotFound: no such dataset of this user's.
        Refused: it names none, or as `plan`.
    """
    model = _model(submission)
    if submission.dataset is None or submission.data is not None or submission.input_data is not None:
        raise Refused("many jobs at once are fitted on datasets: bring the data to /datasets, and name it as dataset.")
    if submission.recipe is not None:
        raise Refused("a job with a recipe is submitted by itself, to /job/submit.")
    if submission.dataset not in known:
        known[submission.dataset] = datasets.find_dataset(sha256=submission.dataset, user=user)
    return _planned(submission, model, Brought(known[submission.dataset]), user)


def _model(submission: Submission) -> CatalogModel:
    model = MODELS.get(submission.model_type)
    if model is None:
        raise Refused(f"model_type must be one of {', '.join(sorted(MODELS))}.")
    return model


def _planned(submission: Submission, model: CatalogModel, brought: Brought, user: Any) -> Plan:
    chosen, target = _choose_columns(submission, model, brought.dataset)
    demand = _demand(submission.requirements)
    prepared, width = None, len(chosen)
    rows, matrix_bytes = brought.dataset.rows, brought.dataset.matrix_bytes
    if submission.recipe is None:
        _require_plain_numbers(chosen, target)
        features = [each["matrix_column"] for each in chosen]
        place: int | None = None if target is None else target["matrix_column"]
    else:
        given = Options.parse(submission.recipe)
        prepared = matrices.prepare(
            brought=brought, model=model, features=chosen, target=target, given=given, user=user
        )
        features, place = [], None
        if prepared.later:  # with a category's levels, which are not known, it may be wider
            matrix_bytes = 8 * rows * (width + (target is not None))
        else:
            made = prepared.matrix
            rows, width, matrix_bytes = made.rows, made.features, made.matrix_bytes
            features, place = list(range(width)), None if target is None else width
    try:
        params = model.clean(submission.params)
    except ParameterError as error:
        raise Refused(str(error)) from None
    known = width if prepared is None else prepared.features
    seconds, floor = weigh(
        model, params, rows=rows, features=width, matrix_bytes=matrix_bytes, validate=known is not None
    )
    return Plan(model, brought, params, features, place, demand, seconds, floor, rows, known, prepared)


def _brought(submission: Submission, model: CatalogModel, user: Any) -> AbstractContextManager[Brought]:
    if submission.dataset is not None:
        if submission.data is not None or submission.input_data is not None:
            raise Refused("Name a dataset or bring data, not both.")
        return nullcontext(Brought(datasets.find_dataset(sha256=submission.dataset, user=user)))
    if submission.data is not None or submission.input_data is not None:
        return datasets.read_inline(data=submission.data, input_data=submission.input_data, user=user)
    return datasets.sample_for(model=model)


def _column(dataset: Dataset, by_name: Mapping[str, dict[str, Any]], key: str | int) -> dict[str, Any]:
    """The column of that name, or at that place counted from 0."""
    if isinstance(key, str) and key in by_name:
        return by_name[key]
    if isinstance(key, int) and not isinstance(key, bool) and -len(by_name) <= key < len(by_name):
        return dataset.columns[key]
    known = ", ".join(list(by_name)[:10]) + (", …" if len(by_name) > 10 else "")
    raise Refused(f"There is no column {str(key)[:80]!r}; the dataset has {known}.")


def _choose_columns(
    submission: Submission, model: CatalogModel, dataset: Dataset
) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
    """The columns of the dataset that are used, and its target."""
    target: dict[str, Any] | None = None
    by_name = {column["name"]: column for column in dataset.columns}
    if model.needs_target:
        chosen = submission.target
        if chosen is None:
            chosen = dataset.default_target or len(dataset.columns) - 1
        target = _column(dataset, by_name, chosen)
    elif submission.target is not None:
        raise Refused(f"{model.name} takes no target.")
    if submission.columns is None:
        features = [column for column in dataset.columns if column is not target]
    else:
        features = [_column(dataset, by_name, key) for key in submission.columns]
        if target is not None and any(column is target for column in features):
            raise Refused(f'The target "{target["name"]}" cannot be one of the columns that predict it.')
        names = [column["name"] for column in features]
        if len(set(names)) != len(names):
            raise Refused("columns names a column twice.")
    if not features:
        raise Refused("There is no column left to fit on.")
    return features, target


def _require_plain_numbers(features: Sequence[Mapping[str, Any]], target: Mapping[str, Any] | None) -> None:
    """Without a recipe, nothing but numbers without gaps is fitted."""
    if target is not None:
        _require_numbers(target, "the target")
    for column in features:
        _require_numbers(column, "used")


def _require_numbers(column: Mapping[str, Any], role: str) -> None:
    name = column["name"][:80]
    if column["matrix_column"] is None:
        raise Refused(
            f'Column "{name}" is text and cannot be {role}; give a "recipe" to use it as a category, or name the '
            'columns to use in "columns".'
        )
    if column["missing"]:
        gaps = counted(column["missing"], "missing cell")
        raise Refused(
            f'Column "{name}" has {gaps}, the first in row {column["first_missing"]:,}; '
            'say in a "recipe" what to do, or leave the column out with "columns".'
        )


def _demand(requirements: Mapping[str, Any]) -> Demand:
    unknown = set(requirements) - {"gpu_type", "min_memory_bytes", "min_compute_capacity"}
    if unknown:
        raise Refused(f"requirements has no field {sorted(unknown)[0][:40]!r}.")
    gpu_type = requirements.get("gpu_type") or ""
    memory = requirements.get("min_memory_bytes") or 0
    capacity = requirements.get("min_compute_capacity") or 0
    if not isinstance(gpu_type, str) or len(gpu_type) > 64:
        raise Refused("requirements.gpu_type must be the name of a GPU.")
    if gpu_type and gpu_type.upper() != "CPU" and gpu_type not in KNOWN_GPUS:
        raise Refused(f"requirements.gpu_type must be CPU or one of {', '.join(sorted(KNOWN_GPUS))}.")
    if isinstance(memory, bool) or not isinstance(memory, int) or not 0 <= memory <= MAX_MEMORY_BYTES:
        raise Refused("requirements.min_memory_bytes must be a whole number of bytes, 0 or more.")
    if isinstance(capacity, bool) or not isinstance(capacity, (int, float)) or not 0 <= capacity <= 1e6:
        raise Refused("requirements.min_compute_capacity must be a number of TFLOPS, 0 or more.")
    return Demand(gpu_tag(gpu_type) if gpu_type else "", memory, float(capacity))
