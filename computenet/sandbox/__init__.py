"""The whole network on one machine, for trying it out: `manage.py sandbox` and `manage.py demo`.

Nothing here knows Django: the launcher starts the same programs that `docker-compose.yml` starts, as child processes,
with an environment of its own making.
"""
