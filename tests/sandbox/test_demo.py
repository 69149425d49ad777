"""The demo ends well when all of it held, and only then."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LinearRegression

from computenet.sandbox.demo.jobs import Diabetes, Digits, Iris
from tests.sandbox.running import ROOT, environment, processes


def lives_in(folder: Path, pid: int) -> bool:
    try:
        return str(folder) in Path(f"/proc/{pid}/environ").read_text(errors="replace")
    except OSError:
        return False  # it ended meanwhile, or is another user's


@pytest.mark.processes
def test_the_demo_shows_three_right_answers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=60,
        env={**environment(tmp_path, 5000), "PORT": "", "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    for words in ("diabetes.csv", "iris.csv", "digits.npy", "(RTX 4090, simulated)", "(RTX 3090, simulated)",
                  "(A100, simulated)", "The books add up", "All of it held"):  # fmt: skip
        assert words in done.stdout
    assert "✗" not in done.stdout and done.stderr == ""
    assert os.listdir(tmp_path) == []
    assert not [pid for pid in processes() if lives_in(tmp_path, pid)]


def test_a_wrong_coefficient_does_not_pass_for_scikit_learns() -> None:
    job = Diabetes()
    oracle = LinearRegression().fit(job.X, job.y)
    right = {
        "coefficients": oracle.coef_.tolist(),
        "intercept": oracle.intercept_,
        "mse": float(np.mean((oracle.predict(job.X) - job.y) ** 2)),
    }
    assert all(line.ok for line in job.compare(right))
    wrong = {**right, "coefficients": (oracle.coef_ * (1 + 2e-6)).tolist()}
    assert [line.ok for line in job.compare(wrong)] == [False, True, True]


def test_centroids_that_are_not_the_best_do_not_pass_for_scikit_learns() -> None:
    job = Iris()
    centroids = job.X[:3]  # three flowers of one species
    distances = np.linalg.norm(job.X[:, None] - centroids[None], axis=2)
    result = {
        "centroids": centroids.tolist(),
        "labels": distances.argmin(axis=1).tolist(),
        "inertia": float((distances.min(axis=1) ** 2).sum()),
    }
    assert not all(line.ok for line in job.compare(result))


def test_components_of_other_data_do_not_pass_for_scikit_learns() -> None:
    job = Digits()
    shuffled = np.random.default_rng(0).permuted(job.X, axis=0)
    _, singular, components = np.linalg.svd(shuffled - shuffled.mean(axis=0), full_matrices=False)
    variance = singular[: job.components] ** 2 / (len(shuffled) - 1)
    result = {"components": components[: job.components].tolist(), "explained_variance": variance.tolist()}
    assert not any(line.ok for line in job.compare(result))
