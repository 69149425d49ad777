# Two images from one file: `server` (web, coordinator, verifier, beat, backups, migration) and `gpu-worker` (a contributor's
# host, which gets nothing of the server's code).
ARG PYTHON=3.12
FROM python:${PYTHON}-slim-trixie AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin computenet \
    && install --directory --owner computenet --group computenet --mode 0700 /data
WORKDIR /app

FROM base AS server
# pg_dump and pg_restore, of the version of the server in docker-compose.yml.
RUN apt-get update && apt-get install --yes --no-install-recommends postgresql-client-17 && rm -rf /var/lib/apt/lists/*
COPY requirements.txt ./
RUN pip install --require-hashes --no-deps -r requirements.txt
COPY manage.py ./
COPY computenet ./computenet
COPY marketplace ./marketplace
COPY workers ./workers
COPY templates ./templates
ENV COMPUTENET_HOME=/data
USER computenet
VOLUME /data
EXPOSE 8000

FROM base AS gpu-worker
# An array library for the GPU, such as cupy-cuda12x or torch; without one, the worker computes with NumPy.
ARG ARRAY_LIBRARY=""
COPY workers/requirements.txt ./requirements.txt
RUN pip install --require-hashes --no-deps -r requirements.txt \
    && if [ -n "$ARRAY_LIBRARY" ]; then pip install "$ARRAY_LIBRARY"; fi
COPY workers ./workers
ENV COMPUTENET_WORKER_HOME=/data
USER computenet
VOLUME /data
CMD ["celery", "-A", "workers", "worker", "-P", "threads", "-c", "1", "-l", "info"]
