"""What a fit of some shape takes and must pay at least: for quotes and submissions, and again once a matrix is made."""

from collections.abc import Mapping
from typing import Any

from django.conf import settings

from marketplace.domain.errors import Refused
from marketplace.domain.money import in_words
from marketplace.domain.pricing import reward_floor
from workers.catalog.base import CatalogModel
from workers.catalog.parameters import ParameterError


def weigh(
    model: CatalogModel,
    params: Mapping[str, Any],
    *,
    rows: int,
    features: int,
    matrix_bytes: int,
    validate: bool = True,
) -> tuple[float, int]:
    """The seconds that a fit of this shape is quoted, and the micro-tokens that it pays at least.

    Raises:
        Refused: the model cannot be fitted on such a shape; unlooked at without `validate`.
    """
    try:
        if validate:
            model.validate(params, rows, features)
    except ParameterError as error:
        raise Refused(str(error)) from None
    policy = settings.POLICY
    seconds = policy.quote_overhead_seconds + model.operations(params, rows, features) / policy.quote_flops
    return seconds, reward_floor(matrix_bytes=matrix_bytes, quoted_seconds=seconds, policy=policy)


def require_floor(floor: int, reward: int) -> None:
    """A job pays at least what keeping its data and checking its answer is worth, so that none are sent for nothing.

    Raises:
        Refused: `reward` is less than `floor`, both in micro-tokens.
    """
    if reward < floor:
        raise Refused(
            f"reward must be at least {in_words(floor)} for this job: its data and the checking of its answer cost "
            "the network that much."
        )
