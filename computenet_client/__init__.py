"""A computenet network from Python: submit machine-learning jobs, wait for verified answers, pay for right ones.

>>> network = Network("http://localhost:5000", client="alice")
>>> job = network.submit("kmeans_clustering", X, k=8, reward=20).wait()
>>> job.result()["centroids"]

`computenet_client.estimators` has estimators that follow scikit-learn's conventions and fit on the network.
"""

from computenet_client.data import Dataset
from computenet_client.errors import (
    ComputenetError,
    JobEnded,
    NotAllowed,
    NotFound,
    NotReady,
    Refused,
    Unreachable,
    VerificationFailed,
    WaitTimeout,
)
from computenet_client.job import Job
from computenet_client.network import Network

__all__ = [
    "ComputenetError",
    "Dataset",
    "Job",
    "JobEnded",
    "Network",
    "NotAllowed",
    "NotFound",
    "NotReady",
    "Refused",
    "Unreachable",
    "VerificationFailed",
    "WaitTimeout",
]
__version__ = "0.1.0"
