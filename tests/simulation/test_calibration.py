"""The rates that the simulation reads are those that the catalogue's checks show today."""

import json
from itertools import product

import pytest

from marketplace.domain.simulation.agents import METHODS
from marketplace.management.commands.simulate import RATES
from marketplace.verification import calibration
from marketplace.verification.lazy import ANSWERS
from workers.catalog import MODELS

DOCUMENT = json.loads(RATES.read_text())


def test_rates_cover_the_catalogue_and_every_method_and_say_when_they_were_measured():
    assert set(DOCUMENT["models"]) == set(MODELS)
    assert set(ANSWERS) == set(METHODS)
    assert all(set(model["odds"]) == set(METHODS) for model in DOCUMENT["models"].values())
    assert {"measured_at", "seed", "trials", "data"} <= set(DOCUMENT)


@pytest.mark.parametrize(("model", "method"), list(product(sorted(MODELS), ANSWERS)))
def test_an_entry_measured_again_is_what_is_written(model, method):
    """One data set each, with fresh seeds: where all trials came out one way, so does this one."""
    case = list(calibration.cases(model, DOCUMENT["seed"]))[-1]
    counts = DOCUMENT["models"][model]["odds"][method]
    seen = {calibration.outcome(case, method, [99, trial]) for trial in range(2)}
    assert seen <= {outcome for outcome, count in counts.items() if count}


def test_stated_chances_of_error_are_those_of_the_certificates(monkeypatch):
    monkeypatch.setattr(calibration, "SIZES", {"kmeans_clustering": (5000, 4)})
    monkeypatch.setattr(calibration, "SIZE", (5000, 20))
    monkeypatch.setattr(calibration, "TIMINGS", 1)
    for model, rates in DOCUMENT["models"].items():
        found = calibration.costs(model, seed=5)
        assert found["error_chance"] == pytest.approx(rates["error_chance"])
        assert 0 < found["check_share"] < found["reject_share"]
