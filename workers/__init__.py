"""What runs on a contributor's machine: the catalogue of models and the Celery worker that computes them.

Installs by itself on a GPU host. Imports neither Django nor the coordinator's packages.
"""
