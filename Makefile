# The two commands of the README are `make demo` and `make test`; `make ci` runs all that CI runs.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH := torch==2.13.0

.PHONY: demo test ci lint types readme examples benchmarks browser clean

demo: $(VENV)/.demo ## install, then the laws of a real network with a proof, then train it
	$(BIN)/python examples/iris.py

test: $(VENV)/.dev ## run the tests
	$(BIN)/python -m pytest

ci: test lint types readme examples

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(VENV)/.dev
	$(BIN)/mypy

readme: $(VENV)/.dev ## run every command that the README shows
	$(BIN)/python docs/run_readme.py README.md

examples: $(VENV)/.dev
	set -e; for example in examples/*.py; do $(BIN)/python $$example; done

benchmarks: $(VENV)/.dev
	set -e; for benchmark in benchmarks/*.py; do $(BIN)/python $$benchmark; done

browser: ## the browser that tests read the report in, installed if it is not there
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null; then \
		echo "chromium is there"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
			chromium chromium-driver fonts-dejavu-core; \
	else \
		echo "install chromium and chromium-driver, as in: sudo apt-get install chromium chromium-driver" >&2; exit 1; \
	fi

# The exact version of torch comes first: a looser request may bring a build with gigabytes of CUDA.
$(VENV)/.torch:
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	touch $@

$(VENV)/.demo: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[examples]'
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	touch $@ $(VENV)/.demo

clean:
	rm -rf $(VENV) .mypy_cache .pytest_cache .ruff_cache .hypothesis
