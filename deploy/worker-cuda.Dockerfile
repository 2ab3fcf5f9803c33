# A GPU worker. PyPI's PyTorch brings CUDA; the host brings the driver and the NVIDIA container toolkit.
# Weights lie in the volume /models: docker run --rm -v rhythmai-models:/models --entrypoint=rhythmai rhythmai-worker-cuda models pull
# Build from the root of a clone: docker build -f deploy/worker-cuda.Dockerfile -t rhythmai-worker-cuda .
FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea AS build
WORKDIR /src
COPY . .
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim@sha256:78387bc3881b8273120a12ebe6c1ab22b018ccc2c9adf565ae1ac9b536e184ea
# FFmpeg's libraries are torchcodec's; with the compiler Triton builds the launchers of its kernels when the worker starts.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ffmpeg gcc libc6-dev \
    && rm -rf /var/lib/apt/lists/*
RUN --mount=type=bind,from=build,source=/wheel,target=/wheel \
    --mount=type=bind,source=requirements,target=/requirements \
    pip install --no-cache-dir --require-hashes -r /requirements/gpu.txt -r /requirements/nle.txt \
    && pip install --no-cache-dir --no-deps /wheel/*.whl \
    && useradd --system --create-home --home-dir /var/lib/rhythmai rhythmai \
    && install --directory --owner=rhythmai /models
USER rhythmai
WORKDIR /var/lib/rhythmai
ENV PYTHONUNBUFFERED=1 \
    NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,video,utility \
    ENGINE=mmaudio \
    MODELS_DIR=/models
VOLUME /models
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "-m", "worker"]
