# Two commands: `make run` (web app with the bundled models) and `make test` (everything CI runs).
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 7860
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
# Exact versions that the tests run with; users get the ranges in pyproject.toml.
CONSTRAINTS := constraints.txt
# A package index with CPU builds of PyTorch, where the usual one has only builds for GPUs.
TORCH_INDEX ?=
# Folder of the data set, for the benchmarks.
FILMS ?= $(PNEUMOCASCADE_DATA)

.PHONY: run install test install-dev lint types tests pythons models bench torture docs messages lock sbom audit clean help

help: ## Show the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { echo "Python 3.10 or newer is needed"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { echo "python3-venv is needed: apt-get install python3-venv"; exit 1; }

$(VENV)/.run: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(PIP) install --quiet --editable '.[web,report,evaluate]' --constraint $(CONSTRAINTS)
	@touch $@

$(VENV)/.dev: pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	$(if $(TORCH_INDEX),$(PIP) install --quiet --no-deps --index-url $(TORCH_INDEX) torch --constraint $(CONSTRAINTS))
	$(PIP) install --quiet --editable '.[web,report,node,evaluate,parquet,openvino,ray,train,docs,dev]' --constraint $(CONSTRAINTS)
	@touch $@ $(VENV)/.run

install: $(VENV)/.run ## Make .venv and install the package with the bundled models

run: install ## Classify the example films, then serve the web app on http://127.0.0.1:7860
	$(BIN)/pneumocascade predict src/pneumocascade/examples
	$(BIN)/pneumocascade serve --port $(PORT)

install-dev: $(VENV)/.dev ## Also install what training and the tests need (a CPU build of PyTorch)

# mypy has one core for two minutes: the tests take the other meanwhile.
test: lint ## Linters, types and the whole test suite
	@$(MAKE) --no-print-directory --jobs 2 types tests

lint: install-dev ## Linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/bandit --quiet --recursive --configfile pyproject.toml src tools torture benchmarks app.py

types: install-dev ## Types
	$(BIN)/mypy

# Each file of tests stays in one process; more than four would be short of memory where cores are many.
tests: install-dev ## The whole test suite
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile --durations 15

# Pythons that are installed; none is fetched. Without PyTorch, Ray and MkDocs, of which some have no release for some.
PYTHONS ?= 3.10 3.11 3.12 3.13

pythons: install-dev ## The tests that need no training, browser or films, with every Python in PYTHONS
	for version in $(PYTHONS); do \
		$(BIN)/uv venv --quiet --allow-existing --no-python-downloads --python $$version build/python-$$version && \
		$(BIN)/uv pip install --quiet --python build/python-$$version --constraint $(CONSTRAINTS) \
			--editable '.[web,report,node,evaluate,parquet,openvino,dev]' onnx safetensors && \
		build/python-$$version/bin/python -m pytest -q -m 'not slow and not browser and not data' --ignore tests/training \
			--ignore tests/output/test_ray_engine.py --ignore tests/evaluation/test_charts.py || exit 1; \
	done

# Where the run of `make models` is kept; one that was cut goes on there.
MODELS_RUN ?= build/models
MODELS_VERSION ?= 0.0.0+local

models: install-dev ## Rebuild the models that ship from the folder of films DATA (hours; docs/training.md)
	@test -n "$(DATA)" || { echo "make models DATA=DIR: DIR holds kermany224, other-films/nih, ..."; exit 1; }
	$(BIN)/python -m pneumocascade.training.pipeline $(DATA) --output $(MODELS_RUN) --version $(MODELS_VERSION)

bench: install-dev ## Measure speed on the films in FILMS (kermany224, kermany-original): docs/data/speed.json
	$(BIN)/python -m benchmarks.speed $(FILMS)/kermany224 $(FILMS)/kermany-original --output docs/data/speed.json

torture: install-dev ## Hostile files, kills at random moments, load: docs/data/torture-*.json (two to three hours)
	$(BIN)/python -m torture.files --inputs 100000 --seconds 1200 --output docs/data/torture-files.json
	$(BIN)/python -m torture.faults --output docs/data/torture-faults.json
	$(BIN)/python -m torture.load $(FILMS)/kermany224 --output docs/data/torture-load.json
	$(BIN)/python -m torture.node --output docs/data/torture-node.json

docs: install-dev ## The documentation as a site in build/site
	$(BIN)/mkdocs build --strict

# For the image's Python; the same for x86-64 and ARM64. Versions in the files stay unless constraints.txt has others.
LOCK := $(BIN)/uv pip compile --quiet --no-emit-index-url --no-annotate --generate-hashes --only-binary :all: \
	--python-version 3.12 --python-platform linux --constraint $(CONSTRAINTS) --custom-compile-command 'make lock'

LOCALE := src/pneumocascade/i18n/locale

messages: install-dev ## Bring the words of the web app's page into the catalogues of its languages
	@mkdir -p build
	$(BIN)/pybabel --quiet extract --mapping-file pyproject.toml --keywords 'gettext_noop Reason:2' --sort-by-file \
		--add-location file --output-file build/pneumocascade.pot src/pneumocascade
	$(BIN)/pybabel --quiet update --domain pneumocascade --input-file build/pneumocascade.pot --output-dir $(LOCALE) \
		--no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date --width 110

lock: install-dev ## Lock what the container is made of, with hashes: requirements/*.txt
	$(LOCK) pyproject.toml --extra web --extra report --extra node --output-file requirements/container.txt
	$(LOCK) requirements/build.in --output-file requirements/build.txt

sbom: install-dev ## Bill of materials (CycloneDX) of the container: build/sbom.cdx.json
	$(BIN)/python tools/sbom.py

audit: install-dev ## Ask for known vulnerabilities of what is locked (needs the network)
	@$(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement requirements/container.txt \
		|| { echo "A vulnerability was found, or nobody could be asked: make audit needs the network."; exit 1; }

clean: ## Remove the environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis
