"""The three registration forms. They read what was typed; whether it may be done is for the actions to say."""

from collections.abc import Iterator
from typing import Any

from django import forms
from django.conf import settings

from marketplace.dashboard.access import Viewer
from marketplace.models import Dataset
from workers.catalog import MODELS
from workers.catalog.base import CatalogModel, Parameter
from workers.catalog.gpus import KNOWN_GPUS

MAX_SUGGESTIONS = 100


class PlainForm(forms.Form):
    """Errors and help are tied to their fields, for those who hear the page."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("label_suffix", "")
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("autocomplete", "off")


class GpuSelect(forms.Select):
    """A list of GPUs whose options carry their TFLOPS, for the script that fills in the capacity."""

    def create_option(self, name: str, value: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        option = super().create_option(name, value, *args, **kwargs)
        if known := KNOWN_GPUS.get(str(value)):
            option["attrs"]["data-tflops"] = f"{known.fp32_tflops:g}"
        return option


class WorkerForm(PlainForm):
    prefix = "worker"

    worker_id = forms.CharField(label="Worker ID", max_length=64, help_text="A name such as worker_rtx4090_01.")
    gpu_type = forms.ChoiceField(label="GPU type", widget=GpuSelect)
    compute_capacity = forms.FloatField(
        label="Compute capacity (TFLOPS)",
        required=False,
        help_text="Left empty: what the GPU's specification says.",
        widget=forms.NumberInput(attrs={"min": 0, "step": "any", "data-fill": "tflops"}),
    )
    stake_amount = forms.DecimalField(label="Stake (tokens)", widget=forms.NumberInput(attrs={"step": "any"}))

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("", "Choose a GPU"), *((name, name) for name in KNOWN_GPUS)]
        self.fields["gpu_type"].choices = choices  # type: ignore[attr-defined]
        stake = settings.POLICY.minimum_stake
        self.fields["stake_amount"].help_text = f"At least {stake:,.6g}; a wrong answer costs a part of it."
        self.fields["stake_amount"].widget.attrs["min"] = f"{stake:g}"

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        known = KNOWN_GPUS.get(data.get("gpu_type", ""))
        if data.get("compute_capacity") is None and known:
            data["compute_capacity"] = known.fp32_tflops
        elif data.get("compute_capacity") is None and "compute_capacity" not in self.errors:
            self.add_error("compute_capacity", "Say how many TFLOPS it has.")
        return data


class ClientForm(PlainForm):
    prefix = "client"

    client_address = forms.CharField(label="Client address", max_length=64, help_text="A name such as alice.")
    initial_balance = forms.DecimalField(
        label="Initial balance (tokens)",
        required=False,
        widget=forms.NumberInput(attrs={"min": 0, "step": "any"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.SANDBOX:
            grant = settings.POLICY.sandbox_client_grant
            self.fields["initial_balance"].help_text = f"Play money; {grant:,.6g} if left empty."
        else:
            del self.fields["initial_balance"]


def _parameter_field(parameter: Parameter) -> forms.Field:
    common: dict[str, Any] = {"label": parameter.name, "required": False, "help_text": parameter.help}
    default = {"placeholder": str(parameter.default)}
    if parameter.choices:
        return forms.ChoiceField(
            choices=[("", f"default: {parameter.default}"), *((name, name) for name in parameter.choices)], **common
        )
    if parameter.type is bool:
        choices = [("", f"default: {'yes' if parameter.default else 'no'}"), ("true", "yes"), ("false", "no")]
        return forms.TypedChoiceField(choices=choices, coerce=lambda text: text == "true", empty_value=None, **common)
    bounds: dict[str, Any] = {"min_value": parameter.minimum, "max_value": parameter.maximum}
    if parameter.type is int:
        return forms.IntegerField(**common, **bounds, widget=forms.NumberInput(attrs=default))
    if parameter.type is float:
        return forms.FloatField(**common, **bounds, widget=forms.NumberInput(attrs={"step": "any", **default}))
    return forms.CharField(**common, widget=forms.TextInput(attrs=default))


class JobForm(PlainForm):
    """One fieldset of parameters a model, out of the catalogue: a new model needs nothing here."""

    prefix = "job"

    client_address = forms.CharField(
        label="Client address", max_length=64, widget=forms.TextInput(attrs={"list": "client-addresses"})
    )
    model_type = forms.ChoiceField(label="Model")
    reward = forms.DecimalField(
        label="Reward (tokens)",
        help_text="Held until the answer is in; paid for a right one alone.",
        widget=forms.NumberInput(attrs={"min": 0, "step": "any"}),
    )
    file = forms.FileField(
        label="Data",
        required=False,
        help_text="A .csv, .parquet, .npy or .npz file. None: a small sample is made and computed.",
        widget=forms.FileInput(attrs={"accept": ".csv,.npy,.npz"}),
    )
    target = forms.CharField(
        label="Target column",
        required=False,
        max_length=200,
        help_text="For a regression, by name or number; the last column if left empty.",
    )

    def __init__(self, *args: Any, viewer: Viewer, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        models = [(name, model.title) for name, model in MODELS.items()]
        self.fields["model_type"].choices = models  # type: ignore[attr-defined]
        addresses = viewer.clients().order_by("-created_at").values_list("address", flat=True)
        self.addresses = list(addresses[:MAX_SUGGESTIONS])
        if len(self.addresses) == 1:
            self.fields["client_address"].initial = self.addresses[0]
        for model in MODELS.values():
            for parameter in model.parameters:
                self.fields[self._key(model, parameter)] = _parameter_field(parameter)

    @staticmethod
    def _key(model: CatalogModel, parameter: Parameter) -> str:
        return f"{model.name}.{parameter.name}"

    def plain_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.base_fields]

    def models(self) -> Iterator[tuple[CatalogModel, list[forms.BoundField]]]:
        """Every model with the fields of its parameters."""
        for model in MODELS.values():
            yield model, [self[self._key(model, parameter)] for parameter in model.parameters]

    def params(self) -> dict[str, Any]:
        """The chosen model's parameters that were filled in."""
        model = MODELS[self.cleaned_data["model_type"]]
        given = {p.name: self.cleaned_data.get(self._key(model, p)) for p in model.parameters}
        return {name: value for name, value in given.items() if value not in (None, "")}

    def target_in(self, dataset: Dataset | None) -> str | int | None:
        """The target as the data names it: digits are a column's number unless a column is called so."""
        text = self.cleaned_data["target"]
        if not text or not MODELS[self.cleaned_data["model_type"]].needs_target:
            return None
        named = dataset is not None and text in dataset.column_names
        return int(text) if text.isdecimal() and not named else text
