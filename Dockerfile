# The collector and, by another command, the validation service. How to run it: docs/containers.md.

# A release fills in the digest: --build-arg PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm@sha256:...
ARG PYTHON_IMAGE=docker.io/library/python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build
# Only ready wheels whose hash is pinned: nothing of an index runs while it is being installed. pip and setuptools stay behind here.
COPY requirements.txt /build/
RUN python -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check \
        --require-hashes --only-binary :all: --requirement /build/requirements.txt \
    && /opt/venv/bin/python -m pip uninstall --quiet --yes pip setuptools
COPY LICENSE NOTICE api.py collector.py /app/
COPY data_collector /app/data_collector
# Compiled here, because nothing can be written at run time.
RUN /opt/venv/bin/python -m compileall -q /app/data_collector

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="btc-data-collector" \
      org.opencontainers.image.description="Exchange market data into Redis: every trade and kline once, in order." \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.base.name="docker.io/library/python:3.11-slim-bookworm"
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /var/lib/data-collector \
        --shell /usr/sbin/nologin collector \
    && install --directory --owner=10001 --group=10001 --mode=0700 /var/lib/data-collector \
    && printf '%s\n' '#!/opt/venv/bin/python' 'from data_collector.__main__ import main' 'main()' \
        > /usr/local/bin/data-collector \
    && chmod 0755 /usr/local/bin/data-collector
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
# DATA_COLLECTOR_IMAGE: ENVIRONMENT=production, HOST=0.0.0.0 and ALLOWED_HOSTS=* are the defaults (docs/settings.md).
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DATA_COLLECTOR_IMAGE=1 \
    VAR_DIR=/var/lib/data-collector
WORKDIR /app
USER 10001:10001
# Spool, rules of your own and, without REDIS_URL, the embedded store.
VOLUME /var/lib/data-collector
EXPOSE 8001
STOPSIGNAL SIGTERM
# By http.client, which obeys no proxy of the environment.
HEALTHCHECK --interval=15s --timeout=5s --start-period=60s --retries=3 CMD ["python", "-I", "-c", "\
import http.client, os, sys; \
line = http.client.HTTPConnection('127.0.0.1', int(os.environ.get('PORT') or 8001), timeout=4); \
line.request('GET', '/health/live'); \
sys.exit(line.getresponse().status != 200)"]
CMD ["data-collector", "run"]
