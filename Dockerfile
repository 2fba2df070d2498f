# Three images: `web` (web server, workers, beat, MLflow server; without torch), `trainer` (with torch), `ray` (replicas).
#   docker build --target web .        docker build --target trainer .        docker build --target ray .

FROM python:3.11-slim-bookworm AS base
# LightGBM and ONNX Runtime link libgomp1. Its version is not pinned: the distribution publishes only fixes.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1 postgresql-client restic \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /home/cataract cataract \
    && install --directory --owner=cataract --group=cataract --mode=0700 /data
ENV PYTHONUNBUFFERED=1 \
    PATH=/venv/bin:$PATH \
    DATA_DIR=/data \
    STATIC_ROOT=/app/staticfiles \
    OMP_NUM_THREADS=1 \
    MLFLOW_DISABLE_TELEMETRY=true \
    DO_NOT_TRACK=true
WORKDIR /app

FROM base AS core-packages
COPY requirements/core.txt requirements/s3.txt requirements/
RUN python -m venv /venv \
    && pip install --no-cache-dir --require-hashes --requirement requirements/core.txt --requirement requirements/s3.txt

FROM core-packages AS train-packages
COPY requirements/train.txt requirements/train.txt
RUN pip install --no-cache-dir --require-hashes --requirement requirements/train.txt

FROM core-packages AS ray-packages
COPY requirements/ray.txt requirements/ray.txt
RUN pip install --no-cache-dir --require-hashes --requirement requirements/ray.txt

FROM base AS code
COPY manage.py ./
COPY docker/healthcheck.py docker/healthcheck.py
COPY cataract cataract
COPY clients clients
COPY predictions predictions
COPY review review
COPY training training
COPY templates templates
COPY static static
# The commit that releases, MLflow runs and the image's label name: docker build --build-arg CODE_COMMIT=$(git rev-parse HEAD)
ARG CODE_COMMIT=
LABEL org.opencontainers.image.revision=$CODE_COMMIT
RUN echo "$CODE_COMMIT" > cataract/commit.txt

FROM code AS web
COPY --from=core-packages /venv /venv
# Collected at build time: a running container writes only to /data and /tmp.
RUN DATA_DIR=/tmp/build python manage.py collectstatic --noinput --ignore redoc --verbosity 0 \
    && rm -rf /tmp/build
USER 10001
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s CMD ["python", "docker/healthcheck.py"]
CMD ["granian", "--interface=wsgi", "--host=0.0.0.0", "--port=8000", "--workers=2", "--blocking-threads=8", \
     "--workers-kill-timeout=30", "--respawn-failed-workers", "cataract.wsgi:application"]

FROM code AS ray
COPY --from=ray-packages /venv /venv
USER 10001
VOLUME /data
EXPOSE 8100
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8100/-/healthz', timeout=4)"]
CMD ["python", "manage.py", "serve"]

FROM code AS trainer
COPY --from=train-packages /venv /venv
USER 10001
VOLUME /data
HEALTHCHECK --interval=60s --timeout=20s --start-period=60s \
    CMD ["sh", "-c", "celery --app=cataract inspect ping --destination=celery@$(hostname)"]
CMD ["celery", "--app=cataract", "worker", "--queues=train", "--concurrency=1", "--loglevel=INFO"]
