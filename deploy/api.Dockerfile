# The API. Build from the root of a clone: docker build -f deploy/api.Dockerfile -t rhythmai-api .
FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea AS build
WORKDIR /src
COPY . .
# The page comes with a small film to try, which is drawn by what the worker brings.
RUN pip install --no-cache-dir --require-hashes -r requirements/worker.txt \
    && python studio/build.py
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    --mount=type=bind,source=requirements,target=/requirements \
    pip install --no-cache-dir --require-hashes -r /requirements/api.txt \
    && pip install --no-cache-dir --no-deps /wheel/*.whl \
    && useradd --system --create-home --home-dir /var/lib/rhythmai rhythmai
USER rhythmai
WORKDIR /var/lib/rhythmai
ENV PYTHONUNBUFFERED=1 \
    API_HOST=0.0.0.0 \
    API_PORT=8000
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=20s \
    CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ[\"API_PORT\"]}/api/v1/ping', timeout=4)"]
ENTRYPOINT ["python", "-m", "edge_api"]
