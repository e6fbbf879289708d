# `make` alone lists what there is. Any make (3.81 of macOS too) and any POSIX shell will do.

VENV := .venv
RUN := $(VENV)/bin/python
# Only ready wheels whose hash is pinned: nothing of an index runs while it is being installed.
PINNED := --require-hashes --only-binary :all:
RUNTIME := $(VENV)/runtime.stamp
DEVELOPMENT := $(VENV)/development.stamp
FUZZ_SECONDS ?= 60
# Most tests wait for other processes, so two workers take half the time. A file's tests share what it has started,
# and tests/conftest.py says which file begins first.
WORKERS := -n 2 --dist loadfile --no-loadscope-reorder
DIFFERENTIAL_EXAMPLES ?= 5000
SEED ?= 1
MINUTES ?= 2

# An environment whose Python is gone (upgraded, copied from elsewhere) is made anew, whatever its stamps say.
ifneq ($(shell $(RUN) -c "print('runs')" 2>/dev/null),runs)
.PHONY: $(RUNTIME) $(DEVELOPMENT)
endif

.PHONY: help venv demo run test test-all test-slow test-long differential soak lint format bench dashboards alerts lock sbom fuzz clean
.DEFAULT_GOAL := help

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile
	@echo "  Variables: ARGS='--help' goes to demo, run, bench and soak; PYTHON=python3.12 names the Python to use, VENV=.venv-3.12 where it goes."

demo: $(RUNTIME) ## Exchange simulator, store, collector and API on this machine, no account, no exchange (Ctrl-C ends it)
	@exec $(RUN) -m data_collector demo $(ARGS)

run: $(RUNTIME) ## The same service against the live exchange
	@exec $(RUN) -m data_collector run $(ARGS)

venv: $(DEVELOPMENT) ## .venv with all that developing needs
	@echo "$(VENV) is ready."

test: $(DEVELOPMENT) ## The tests that run in minutes on any machine
	@$(RUN) -m pytest $(WORKERS) -m "not slow and not long" $(PYTEST_ARGS)

test-all: $(DEVELOPMENT) ## Every kind of test, slow ones too, then the fuzzers for a bounded time
	@$(RUN) -m pytest $(WORKERS) -m "not long" $(PYTEST_ARGS)
	@$(MAKE) --no-print-directory fuzz

test-slow: $(DEVELOPMENT) ## Those that `make test` leaves to CI
	@$(RUN) -m pytest $(WORKERS) -m "slow and not long" $(PYTEST_ARGS)

test-long: $(DEVELOPMENT) ## What asks the same in numbers: hundreds of kills, every version, every market; and CI with its Pythons exchanged
	@$(RUN) -m pytest $(WORKERS) -m long $(PYTEST_ARGS)
	@CROSSWISE=1 .ci/run

differential: $(DEVELOPMENT) ## Hold compiled suites against Great Expectations, DIFFERENTIAL_EXAMPLES random ones (5000)
	@DIFFERENTIAL_EXAMPLES=$(DIFFERENTIAL_EXAMPLES) $(RUN) -m pytest tests/differential $(PYTEST_ARGS)

soak: $(DEVELOPMENT) ## Random faults, drawn from SEED (1), for MINUTES (2), against an oracle; docs/soak.md
	@exec $(RUN) -m tests.soak --seed $(SEED) --minutes $(MINUTES) $(ARGS)

lint: $(DEVELOPMENT) ## Format, lint, types, layers, no secret and nothing of this machine alone in the tree
	@$(RUN) -m ruff format --check .
	@$(RUN) -m ruff check .
	@$(RUN) -m mypy
	@$(RUN) -c "from importlinter.cli import lint_imports_command; lint_imports_command()"
	@$(RUN) -m pytest -q --no-header tests/docs/test_tree.py
	@git ls-files -z --cached --others --exclude-standard | xargs -0 $(RUN) -m detect_secrets.pre_commit_hook --baseline .secrets.baseline

format: $(DEVELOPMENT) ## Format the code and mend what can be mended without thought
	@$(RUN) -m ruff format .
	@$(RUN) -m ruff check --fix .

bench: $(RUNTIME) ## Measure cost per message, memory and latency on this machine
	@exec $(RUN) -m benchmarks $(ARGS)

dashboards: $(DEVELOPMENT) ## Write deploy/grafana/dashboards/ from what is declared in deploy/grafana/
	@$(RUN) -m deploy.grafana

alerts: $(DEVELOPMENT) ## Write deploy/prometheus/rules/ from what is declared in data_collector/alerting/rules.py
	@$(RUN) -m deploy.prometheus

fuzz: $(DEVELOPMENT) ## Feed garbage to the decoders, FUZZ_SECONDS each (60)
	@set -e; for target in tests/fuzz/fuzz_*.py; do \
	  [ -e "$$target" ] || { echo "There is no tests/fuzz/fuzz_*.py."; exit 1; }; \
	  $(RUN) -c "import atheris" 2>/dev/null || { echo "No atheris for this platform: the fuzzers run on Linux x86_64."; exit 0; }; \
	  echo "Fuzzing with $$target for $(FUZZ_SECONDS) s"; \
	  PYTHONPATH=. $(RUN) "$$target" -max_total_time=$(FUZZ_SECONDS); \
	done

lock: ## Pin what the service and developing need anew; LOCK_ARGS=--upgrade takes the newest versions
	@.ci/venv .venv-lock --upgrade uv
	@set -e; pin() { .venv-lock/bin/python -m uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	    --no-header --no-strip-extras --extra service $(LOCK_ARGS) --output-file "$$@"; }; \
	  pin requirements.txt pyproject.toml; \
	  pin requirements-dev.txt --constraint requirements.txt pyproject.toml requirements-dev.in
	@rm -rf .venv-lock

sbom: ## Write sbom.cdx.json: every package that we install, with version and hashes (CycloneDX)
	@.ci/venv .venv-sbom cyclonedx-bom
	@.venv-sbom/bin/cyclonedx-py requirements requirements.txt --output-format JSON --output-reproducible --output-file sbom.cdx.json
	@rm -rf .venv-sbom
	@echo "sbom.cdx.json is written."

clean: ## Delete the environment and everything built; collected data in var/ stays
	@rm -rf .venv .venv-* build dist htmlcov *.egg-info .coverage .coverage.* .*_cache .hypothesis benchmarks/results
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(RUNTIME): requirements.txt
	@.ci/venv $(VENV) $(PINNED) -r $<
	@touch $@

# The development pins hold the runtime pins unchanged (a test sees to it), so both are up to date afterwards.
$(DEVELOPMENT): requirements-dev.txt requirements.txt
	@.ci/venv $(VENV) $(PINNED) -r $<
	@touch $(RUNTIME) $@
