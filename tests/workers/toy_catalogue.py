"""Adds the toys to the catalogue of the Celery worker that has ``--include tests.workers.toy_catalogue``."""

from tests.workers.toys import TOYS
from workers.catalog import MODELS

MODELS.update({toy.name: toy for toy in TOYS})
