"""A job on its way through the three steps. All of it is in the address, so that a step can be gone back to or shared.

Nothing in it is believed: each step asks the actions again, which find the data and the client for this user alone.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.http import QueryDict

from marketplace.actions.audiences import KINDS
from marketplace.actions.submissions import Submission, submission_of
from marketplace.dashboard.access import Viewer
from marketplace.dashboard.forms import JobForm
from marketplace.domain.errors import Refused
from marketplace.models import Dataset, Job, Pool
from workers.catalog import MODELS
from workers.catalog.gpus import KNOWN_GPUS

SAMPLE = "sample"
CHOSEN_MOST = 60  # columns that can be ticked one by one; of a wider table all that can be used are
GIB = 2**30
NAMES_LONGEST = 2000
POOLS_SHOWN = 30
GPUS = ("CPU", *KNOWN_GPUS)
RECIPE = ("missing", "standardise", "holdout")
OWN = ("dataset", "target", "c", "reward")  # the rest of an address is the form's


@dataclass(frozen=True)
class Draft:
    """`columns` and `target` are places among the dataset's columns; None: all that can be used, and the last."""

    dataset: str
    target: int | None = None
    columns: tuple[int, ...] | None = None
    rest: Mapping[str, str] = field(default_factory=dict)
    reward: str = ""

    @classmethod
    def read(cls, query: QueryDict) -> "Draft":
        """What an address says; what is no number in it is as if it were not there."""
        ticked = tuple(int(text) for text in query.getlist("c") if text.isdecimal() and len(text) < 8)
        target = query.get("target", "")
        return cls(
            dataset=query.get("dataset", ""),
            target=int(target) if target.isdecimal() and len(target) < 8 else None,
            columns=ticked or None,
            rest={name: str(query[name]) for name in query if name not in OWN and query[name]},
            reward=query.get("reward", ""),
        )

    @property
    def query(self) -> str:
        """The address again."""
        found = QueryDict(mutable=True)
        found["dataset"] = self.dataset
        if self.target is not None:
            found["target"] = str(self.target)
        if self.columns is not None:
            found.setlist("c", [str(column) for column in self.columns])
        found.update(self.rest)
        if self.reward:
            found["reward"] = self.reward
        return found.urlencode()

    @property
    def hidden(self) -> list[tuple[str, str]]:
        """The address as hidden fields of the form that asks for the model."""
        pairs = [("dataset", self.dataset)]
        pairs += [("target", str(self.target))] if self.target is not None else []
        return pairs + [("c", str(column)) for column in self.columns or ()]

    def recipe(self, dataset: Dataset, used: Iterable[int]) -> dict[str, Any] | None:
        """What the first step says of gaps and scaling; None where it says nothing and numbers without gaps are used.

        Raises:
            Refused: a share that is no number.
        """
        said = {name: self.rest[name] for name in RECIPE if self.rest.get(name)}
        found: dict[str, Any] = {"missing": said["missing"]} if said.get("missing", "refuse") != "refuse" else {}
        if "standardise" in said:
            found["standardise"] = True
        if "holdout" in said:
            try:
                found["holdout"] = float(said["holdout"]) / 100
            except ValueError:
                raise Refused("The share of the rows to keep out must be a number of percent.") from None
        plain = all(usable(dataset.columns[place]) for place in used if place < len(dataset.columns))
        return None if plain and not found else found

    @classmethod
    def of(cls, job: Job) -> "Draft":
        """What was asked for a job, to change a little and ask for again."""
        asked = submission_of(job)
        needs = asked.requirements
        rest = {"client_address": asked.client_address, "model_type": asked.model_type}
        for name, value in asked.params.items():
            rest[f"{asked.model_type}.{name}"] = str(value).lower() if isinstance(value, bool) else str(value)
        rest |= {name: f"{needs[name]}" for name in ("gpu_type", "min_compute_capacity") if name in needs}
        if "min_memory_bytes" in needs:
            rest["min_memory_gib"] = f"{needs['min_memory_bytes'] / GIB:g}"
        rest |= {kind: ", ".join(names) for kind, names in asked.receivers.items() if names}
        reward = f"{asked.reward}"
        recipe = asked.recipe or {}
        rest |= {"missing": recipe["missing"]} if "missing" in recipe else {}
        rest |= {"standardise": "1"} if recipe.get("standardise") else {}
        rest |= {"holdout": f"{100 * recipe['holdout']:g}"} if "holdout" in recipe else {}
        if job.dataset.sample:
            return cls(SAMPLE, rest=rest, reward=reward)
        columns = None
        if asked.columns is not None and len(job.dataset.columns) <= CHOSEN_MOST:
            columns = tuple(int(column) for column in asked.columns)
        return cls(job.dataset_id, int(asked.target) if asked.target is not None else None, columns, rest, reward)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def usable(column: Mapping[str, Any]) -> bool:
    """Numbers without a gap."""
    return column["matrix_column"] is not None and not column["missing"]


def default_target(dataset: Dataset) -> int | None:
    """The column that was brought as y, or the last; None where that is none to predict."""
    names = dataset.column_names
    place = names.index(dataset.default_target) if dataset.default_target in names else len(names) - 1
    return place if usable(dataset.columns[place]) else None


class ModelForm(JobForm):
    """The second step: for whom, which model with which parameters, and what is demanded of a worker."""

    prefix = None  # type: ignore[assignment]

    gpu_type = forms.ChoiceField(label="GPU", required=False)
    min_memory_gib = forms.FloatField(label="Memory (GiB)", required=False, min_value=0, max_value=1_000_000)
    min_compute_capacity = forms.FloatField(label="TFLOPS", required=False, min_value=0, max_value=1e6)
    deadline_hours = forms.FloatField(
        label="Deadline (hours)", required=False, min_value=0.01, max_value=8760, help_text="A week if left empty."
    )
    pools = forms.CharField(
        label="Pools", required=False, max_length=NAMES_LONGEST, help_text="Names, with commas between them."
    )
    contributors = forms.CharField(
        label="Contributors", required=False, max_length=NAMES_LONGEST, help_text="Names, with commas between them."
    )

    def __init__(self, *args: Any, viewer: Viewer, **kwargs: Any) -> None:
        super().__init__(*args, viewer=viewer, **kwargs)
        for name in ("reward", "file", "target"):
            del self.fields[name]
        self.fields["gpu_type"].choices = [("", "any GPU or CPU"), *((name, name) for name in GPUS)]  # type: ignore[attr-defined]
        self.fields["client_address"].help_text = "Who pays: one of your clients."
        self.pool_names = list(Pool.objects.values_list("name", flat=True)[:POOLS_SHOWN])

    def demands(self) -> list[forms.BoundField]:
        return [self[name] for name in ("gpu_type", "min_memory_gib", "min_compute_capacity", "deadline_hours")]

    def receivers(self) -> list[forms.BoundField]:
        return [self[name] for name in KINDS]

    def demanded(self) -> bool:
        """Whether anything was typed there."""
        return any(field.value() or field.errors for field in self.demands())

    def submission(self, draft: Draft, dataset: Dataset | None) -> Submission:
        """What the actions are asked, without a reward.

        Raises:
            Refused: a target is needed, and none was chosen.
        """
        data = self.cleaned_data
        model = MODELS[data["model_type"]]
        target = columns = recipe = None
        if dataset is not None:
            if model.needs_target:
                target = draft.target if draft.target is not None else default_target(dataset)
                if target is None:
                    raise Refused(f"{model.title} predicts a column: go back to the data and choose the target.")
            ticked = draft.columns
            if ticked is None:
                ticked = tuple(i for i, column in enumerate(dataset.columns) if usable(column))
            columns = [i for i in ticked if i != target]
            recipe = draft.recipe(dataset, columns if target is None else [*columns, target])
            if len(columns) + (target is not None) == len(dataset.columns):
                columns = None
        memory = data["min_memory_gib"]
        demands = {
            "gpu_type": data["gpu_type"],
            "min_memory_bytes": int(memory * GIB) if memory else None,
            "min_compute_capacity": data["min_compute_capacity"],
        }
        return Submission(
            client_address=data["client_address"],
            model_type=model.name,
            dataset=dataset.pk if dataset else None,
            params=self.params(),
            target=target,
            columns=columns,
            recipe=recipe,
            requirements={name: value for name, value in demands.items() if value},
            receivers={kind: names for kind in KINDS if (names := _names(data[kind]))},
            deadline_seconds=data["deadline_hours"] * 3600 if data["deadline_hours"] else None,
        )
