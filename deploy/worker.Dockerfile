# A worker without GPU: merges, and composes with the small procedural engine, which says so in every result.
# For merges only set WORKER_KINDS=merge. Build from the root of a clone: docker build -f deploy/worker.Dockerfile -t rhythmai-worker .
FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    --mount=type=bind,source=requirements,target=/requirements \
    pip install --no-cache-dir --require-hashes -r /requirements/nle.txt \
    && pip install --no-cache-dir --no-deps /wheel/*.whl \
    && useradd --system --create-home --home-dir /var/lib/rhythmai rhythmai
USER rhythmai
WORKDIR /var/lib/rhythmai
ENV PYTHONUNBUFFERED=1 \
    ENGINE=sketch
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "worker"]
