# Web app and REST API on a CPU. Research demonstration only. Not intended for medical diagnosis.
#
#   docker build --tag pneumocascade .
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --security-opt no-new-privileges \
#     --publish 127.0.0.1:7860:7860 --volume pneumocascade:/var/lib/pneumocascade pneumocascade
#
# docs/deployment.md tells the rest.

FROM python:3.12-slim-bookworm AS build

WORKDIR /build
# Without pip in it: what is copied below can install nothing.
RUN python -m venv --without-pip /opt/pneumocascade
# Wheels only: nothing is compiled here or later. Each has a SHA-256 that was locked (make lock), what builds the
# package, too. pip writes the byte code that a read-only image cannot.
COPY requirements requirements
RUN pip install --no-cache-dir --only-binary :all: --require-hashes --requirement requirements/build.txt \
    && pip --python /opt/pneumocascade/bin/python install --no-cache-dir --only-binary :all: \
       --require-hashes --requirement requirements/container.txt
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir dist . \
    && pip --python /opt/pneumocascade/bin/python install --no-cache-dir --no-index --no-deps dist/*.whl

FROM python:3.12-slim-bookworm

LABEL org.opencontainers.image.title="pneumocascade" \
      org.opencontainers.image.description="Two-stage reading of chest radiographs. Research demonstration only. Not intended for medical diagnosis." \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="python:3.12-slim-bookworm"

# For the PDF report: WeasyPrint's text layout, and a font. Debian's versions are those of the base's tag.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends \
       fonts-dejavu-core libharfbuzz-subset0 libpango-1.0-0 libpangoft2-1.0-0 \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --user-group --no-log-init --no-create-home --home-dir /nonexistent \
       --shell /usr/sbin/nologin pneumocascade \
    && install --directory --owner 10001 --group 10001 --mode 0700 /var/lib/pneumocascade

COPY --from=build /opt/pneumocascade /opt/pneumocascade

# What is written goes to /tmp (uploads, caches) and to the state folder; nothing is told to anybody.
ENV PATH=/opt/pneumocascade/bin:$PATH \
    PNEUMOCASCADE_STATE=/var/lib/pneumocascade \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_CACHE_HOME=/tmp/cache \
    GRADIO_ANALYTICS_ENABLED=False \
    HF_HUB_OFFLINE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

VOLUME /var/lib/pneumocascade
WORKDIR /tmp
# By number, so that Kubernetes' runAsNonRoot can tell.
USER 10001:10001
EXPOSE 7860

# Past any proxy that the environment names: the server is in this very container.
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.build_opener(r.ProxyHandler({})).open(f'http://127.0.0.1:{os.environ.get(\"PORT\", \"7860\")}/healthz', timeout=4)"]

ENTRYPOINT ["pneumocascade"]
CMD ["serve", "--host", "0.0.0.0"]
