# The API. Build from the root of a clone: docker build -f deploy/api.Dockerfile -t rhythmai-api .
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
    API_HOST=0.0.0.0 \
    API_PORT=8000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"API_PORT\"]}/healthz', timeout=4)"]
ENTRYPOINT ["python", "-m", "edge_api"]
