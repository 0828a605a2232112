# Everything here needs only make, git and a Python of at least 3.11; each target sets up .venv by itself.
PYTHON ?= python3
ARGS ?=
PYTEST_WANTED ?= 9.*
WHEEL_PYTHON ?= $(VENV)/bin/python

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test test-wheel kafka jmeter docker-image jmeter-image bench docs pictures lint clean

help:
	@echo "make demo   run the examples under load on this machine and write the four reports"
	@echo "make test   run the test suite             (make test ARGS='-k plan' for a part of it)"
	@echo "make test-wheel   build the wheel and test it by itself; PYTEST_WANTED='8.4.*' and WHEEL_PYTHON choose on what"
	@echo "make kafka  fetch the jars of the broker that the tests start (needs Java and Maven)"
	@echo "make jmeter fetch the JMeter that the tests start (needs Java and Maven)"
	@echo "make docker-image   make the runner images that the tests use (as root, with Debian's docker.io and debootstrap)"
	@echo "make jmeter-image   make the stand-in for MeterSphere's JMeter image (needs a JDK, Maven and what docker-image needs)"
	@echo "make bench  measure this engine beside other load generators, 20 minutes on two cores (Linux)"
	@echo "make lint   ruff, mypy --strict, import-linter; for the action and workflows check-jsonschema, zizmor, actionlint"
	@echo "make clean  remove .venv and what builds and reports leave behind"
	@echo "make docs   write docs/options.md and the types in docs/wire.md from the code"
	@echo "make pictures  make the pictures of the README from a real run (needs Chromium)"
	@echo "PYTHON=/path/to/python3.12 chooses the interpreter for a new .venv"

# the scenarios need no async plugin; pytest-asyncio, here for the tests, would only warn about its settings
demo: $(VENV)/.demo
	$(BIN)/python -m pytest examples -p no:asyncio --ms-pool=local $(ARGS)

test: $(VENV)/.test
	$(BIN)/python -m pytest $(ARGS)

test-wheel: $(VENV)/.test
	$(BIN)/python -m tests.wheel --pytest '$(PYTEST_WANTED)' --python '$(WHEEL_PYTHON)' -- $(ARGS)

# the jars of Apache Kafka for the tests, into .cache or $XDG_CACHE_HOME
kafka: $(VENV)/.test
	$(BIN)/python -m tests.kafka.broker

# Apache JMeter for the tests, with the plugins that they use, into .cache or $XDG_CACHE_HOME
jmeter: $(VENV)/.test
	$(BIN)/python -m tests.jmeter.home

# Debian and the wheels in an image, and one with JMeter besides, kept in .cache or $XDG_CACHE_HOME
docker-image: $(VENV)/.test
	$(BIN)/python -m tests.docker.engine
	$(BIN)/python -m tests.docker.jmeter_image

# a stand-in for MeterSphere's JMeter image, kept there, too
jmeter-image: $(VENV)/.test
	$(BIN)/python -m tests.metersphere.jmeter_image.build

docs: $(VENV)/.demo
	$(BIN)/python -m docs.generate

pictures: $(VENV)/.demo
	$(BIN)/python -m docs.pictures.make

# fetches the other load generators into .cache/bench first; the tables go to bench-report
bench: $(VENV)/.test
	$(BIN)/python -m benchmarks.compare $(ARGS)

lint: $(VENV)/.lint
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-actions action.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(BIN)/check-jsonschema --quiet --builtin-schema vendor.dependabot .github/dependabot.yml
	$(BIN)/zizmor --offline --quiet .
	$(BIN)/actionlint

clean:
	rm -rf $(VENV) build dist bench-report ms-report examples/ms-report *.egg-info .*_cache

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1)' 2>/dev/null || { \
	    echo "pytest-metersphere needs Python 3.11 or newer, and '$(PYTHON)' is" \
	        "$$($(PYTHON) --version 2>/dev/null || echo 'not there')." \
	        "Name one: make PYTHON=/path/to/python3.11 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

# pip understands dependency groups from 25.1 on; the one that comes with Python is often older
$(VENV)/.demo: pyproject.toml | $(BIN)/python
	$(PIP) install --upgrade 'pip>=25.1'
	PYTHONWARNINGS='ignore:Editable installation' $(PIP) install --editable .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.demo
	$(PIP) install --group test
	@touch $@

$(VENV)/.lint: pyproject.toml $(VENV)/.test
	$(PIP) install --group lint
	@touch $@
