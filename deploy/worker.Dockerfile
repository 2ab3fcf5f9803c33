# A worker without GPU: merges, and composes with the small procedural engine, which says so in every result.
# For merges only set WORKER_KINDS=merge. Build from the root of a clone: docker build -f deploy/worker.Dockerfile -t rhythmai-worker .
FROM python:3.12-slim AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    pip install --no-cache-dir /wheel/*.whl \
    && useradd --system --create-home --home-dir /var/lib/rhythmai rhythmai
USER rhythmai
WORKDIR /var/lib/rhythmai
ENV PYTHONUNBUFFERED=1 \
    ENGINE=sketch
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "worker"]
