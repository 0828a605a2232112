# The image that slices run in; docs/node-controllers.md says how to build it and how to bring it to the nodes.
#
#   pip wheel --wheel-dir wheels . -r requirements.txt    # the packages of your tests, beside our own
#   docker build --file deploy/runner.Dockerfile --build-arg BASE=python:3.11-slim \
#       --tag pytest-metersphere-runner:0.1.0 wheels
#
# BASE needs Python with venv, of the minor version that your tests run on. Nothing is downloaded while this
# builds: the build's folder holds the wheels. What runs in it writes nowhere but to /tmp.
ARG BASE=python:3.11-slim

FROM ${BASE} AS build
COPY *.whl /wheels/
RUN python3 -m venv /opt/pytest-metersphere \
    && /opt/pytest-metersphere/bin/pip install --no-cache-dir --no-index /wheels/*.whl \
    && if ! ls /wheels/setuptools-*.whl >/dev/null 2>&1; then \
        /opt/pytest-metersphere/bin/pip uninstall --yes setuptools; fi \
    && /opt/pytest-metersphere/bin/pip uninstall --yes pip

FROM ${BASE}
COPY --from=build /opt/pytest-metersphere /opt/pytest-metersphere
USER 10082:10082
WORKDIR /tmp
ENV PATH=/opt/pytest-metersphere/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# what a stock MeterSphere node-controller starts, which can give no command; our own node-controller names another
CMD ["python3", "-P", "-m", "pytest_metersphere.dist.node.runner"]
