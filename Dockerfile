# syntax=docker/dockerfile:1
# docker build --target cpu  -t fantasyportrait:cpu .    the preview engine, no torch
# docker build --target cuda -t fantasyportrait:cuda .   both engines; the machine needs the NVIDIA Container Toolkit
FROM python:3.12-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    GRADIO_ANALYTICS_ENABLED=False \
    GRADIO_SERVER_NAME=0.0.0.0 \
    GRADIO_SERVER_PORT=7860 \
    GRADIO_TEMP_DIR=/data/uploads \
    FANTASYPORTRAIT_MODELS_DIR=/data/models \
    FANTASYPORTRAIT_CACHE_DIR=/data/cache \
    FANTASYPORTRAIT_RESULTS=/data/results
# The owner of /data is copied to a new volume, so that the user may write there.
RUN useradd --uid 1000 --no-create-home --home-dir /data portrait && install --directory --owner=1000 --group=1000 /data
WORKDIR /srv/fantasyportrait
VOLUME /data
EXPOSE 7860
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/', timeout=4)"]
ENTRYPOINT ["python", "app.py"]

FROM base AS cpu-packages
COPY requirements.lock ./
RUN python -m pip install --no-deps --require-hashes --requirement requirements.lock

FROM base AS cuda-packages
# The build for CUDA, which brings its libraries; the lock leaves torch to the user.
RUN python -m pip install torch==2.13.0
COPY requirements-gpu.lock ./
RUN python -m pip install --no-deps --require-hashes --requirement requirements-gpu.lock

FROM cuda-packages AS cuda
COPY app.py LICENSE NOTICE ./
COPY assets assets
COPY fantasyportrait fantasyportrait
COPY ui ui
USER 1000:1000

# The last stage, so that a build without --target makes the light image.
FROM cpu-packages AS cpu
COPY app.py LICENSE NOTICE ./
COPY assets assets
COPY fantasyportrait fantasyportrait
COPY ui ui
USER 1000:1000
