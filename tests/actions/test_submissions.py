"""What a client brings, and what is refused before a token is held."""

import base64
import io

import numpy as np
import pytest

from marketplace.actions import datasets, submissions
from marketplace.actions.submissions import Submission
from marketplace.domain.errors import NotFound, Refused
from marketplace.models import Account, Client, Dataset, Job, Transfer
from tests import factories as make
from workers.catalog import MODELS

pytestmark = pytest.mark.django_db

CSV = "size,town,price,rooms\n" + "".join(f"{i},Bonn,{2 * i + 1},{i % 3}\n" for i in range(40))


def upload(text: str = CSV, name: str = "houses.csv") -> Dataset:
    return datasets.store_upload(stream=io.BytesIO(text.encode()), filename=name, user=None)


def test_the_same_file_twice_is_one_dataset():
    assert upload() == upload(name="copy.csv")
    assert Dataset.objects.count() == 1


def test_a_target_by_name_in_any_column_and_the_columns_to_use():
    make.make_client()
    dataset = upload()
    job = make.make_job(dataset=dataset.pk, target="size", columns=["rooms", "price"])
    assert (job.features, job.target) == ([2, 1], 0)


def test_what_describes_the_columns_is_gone_through_as_often_for_many_names_as_for_one():
    class Columns(list):
        seen = 0

        def __iter__(self):
            Columns.seen += 1
            return super().__iter__()

    def times(names: list[str]) -> int:
        described = [{"name": f"c{i}", "matrix_column": i, "missing": 0} for i in range(50)]
        asked = Submission("alice", "pca_analysis", columns=names)
        Columns.seen = 0
        submissions._choose_columns(asked, MODELS["pca_analysis"], Dataset(columns=Columns(described)))
        return Columns.seen

    assert times(["c1"]) == times([f"c{i}" for i in range(50)])


def test_the_last_column_is_the_target_where_none_is_named():
    make.make_client()
    job = make.make_job(dataset=upload().pk, columns=["size"])
    assert (job.features, job.target) == ([0], 2)


def test_columns_and_target_by_place():
    make.make_client()
    job = make.make_job(dataset=upload().pk, columns=[0, 3], target=2)
    assert (job.features, job.target) == ([0, 2], 1)


def test_inline_rows_and_x_with_y_and_a_base64_array():
    make.make_client()
    assert make.make_job(data=make.rows(20, 3)).features == [0, 1]
    job = make.make_job(data={"X": make.rows(20, 3), "y": list(range(20))})
    assert (job.features, job.target) == ([0, 1, 2], 3)
    file = io.BytesIO()
    np.save(file, np.eye(9))
    job = make.make_job(model_type="pca_analysis", input_data=base64.b64encode(file.getvalue()).decode())
    assert len(job.features) == 9


def test_a_sample_is_made_once_a_kind_and_is_what_is_computed():
    make.make_client()
    first, second = make.make_job(), make.make_job()
    assert first.dataset == second.dataset
    assert first.dataset.sample
    assert make.make_job(model_type="kmeans_clustering").dataset != first.dataset


@pytest.mark.parametrize("name", sorted(MODELS))
def test_every_model_can_be_fitted_to_its_sample(name: str):
    make.make_client()
    assert make.right_answer(make.make_job(model_type=name))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"model_type": "neural_net"}, "model_type must be one of"),
        ({"reward": 0}, "reward must be more than zero"),
        ({"reward": -5}, "reward must be more than zero"),
        ({"reward": "50"}, "reward must be a number"),
        ({"dataset": "0" * 64}, "There is no dataset"),
        ({"data": []}, "list of rows"),
        ({"data": "1,2"}, "list of rows"),
        ({"data": [[1, 2], [3]]}, "equally long"),
        ({"data": [[1, "a"]]}, '"a", which is not a number'),
        ({"data": [[1, True]]}, "not a number"),
        ({"data": [[1, None]]}, "not a number"),
        ({"data": [[[1]]]}, "not a number"),
        ({"data": [[10**400, 1]] * 9}, "too large"),
        ({"data": {"X": [[1.0]], "z": 1}}, 'an object with "X"'),
        ({"data": {"X": [[1.0], [2.0]], "y": [1.0]}}, "one number for each"),
        ({"data": [[1.0]], "input_data": ""}, "not both"),
        ({"input_data": "%%%"}, "base64"),
        ({"input_data": base64.b64encode(b"rubbish").decode()}, "not a .npy"),
        ({"data": make.rows(), "target": "price"}, "There is no column 'price'"),
        ({"data": make.rows(), "target": 99}, "There is no column '99'"),
        ({"data": make.rows(), "columns": []}, "no column left"),
        ({"data": make.rows(), "columns": [0, 0]}, "twice"),
        ({"data": make.rows(), "columns": [3]}, "cannot be one of the columns"),
        ({"model_type": "kmeans_clustering", "target": 0}, "takes no target"),
        ({"model_type": "kmeans_clustering", "data": [[1.0], [2.0]], "params": {"k": 3}}, "k"),
        ({"model_type": "kmeans_clustering", "params": {"k": 0}}, "k"),
        ({"model_type": "kmeans_clustering", "params": {"k": 2.5}}, "k"),
        ({"model_type": "kmeans_clustering", "params": {"k": True}}, "k"),
        ({"model_type": "kmeans_clustering", "params": {"kk": 3}}, "kk"),
        ({"model_type": "pca_analysis", "data": make.rows(9, 2), "params": {"n_components": 3}}, "n_components"),
        ({"data": [[1.0, 2.0, 3.0]]}, "row"),
        ({"requirements": {"gpu": "A100"}}, "'gpu'"),
        ({"requirements": {"gpu_type": "X123"}}, "CPU or one of"),
        ({"requirements": {"min_memory_bytes": -1}}, "min_memory_bytes"),
        ({"requirements": {"min_compute_capacity": "9"}}, "min_compute_capacity"),
        ({"deadline_seconds": 0}, "deadline_seconds"),
        ({"deadline_seconds": float("nan")}, "deadline_seconds"),
    ],
)
def test_a_request_that_cannot_be_done_is_refused_in_a_sentence_and_changes_nothing(more, sentence):
    make.make_client()
    before = (Account.objects.count(), Transfer.objects.count(), Client.objects.get().virtual_finish)
    with pytest.raises(Refused, match=sentence):
        make.make_job(**more)
    assert (Account.objects.count(), Transfer.objects.count(), Client.objects.get().virtual_finish) == before
    assert not Job.objects.exists()


def test_a_text_column_is_refused_by_name():
    make.make_client()
    dataset = upload()
    for more in ({}, {"columns": ["size", "town"]}, {"target": "town"}):
        with pytest.raises(Refused, match='Column "town" is text'):
            make.make_job(dataset=dataset.pk, **more)


def test_a_column_with_missing_cells_is_refused_by_name_and_row():
    make.make_client()
    dataset = upload("a,b\n" + "1,2\n" * 5 + ",3\n" + "2,1\n" * 5)
    with pytest.raises(Refused, match='Column "a" has 1 missing cell, the first in row 6'):
        make.make_job(dataset=dataset.pk)
    with pytest.raises(Refused, match="missing"):
        make.make_job(model_type="kmeans_clustering", dataset=dataset.pk)
    assert make.make_job(model_type="kmeans_clustering", dataset=dataset.pk, columns=["b"])


def test_an_unknown_client_is_not_found():
    with pytest.raises(NotFound, match="There is no client mallory"):
        make.make_job("mallory")
