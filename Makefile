# `make demo` renders the quickstart film, `make test` runs the tests and `make nightly` the slow ones too; all install
# what they need into .venv. `make bench PUBLISHED=folder PUBLISHED_PYTHON=python` times steps beside a checkout of the
# published repository, which needs an environment of its own; without PUBLISHED it times ours alone.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test nightly check fix tiny bench clean

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

demo: .venv/installed
	$(BIN)/ursa-ray render storyboards/quickstart.yaml --run renders/quickstart

test: .venv/installed
	$(BIN)/python -m pytest --numprocesses=2 --dist=loadfile --no-loadscope-reorder -m "not slow"

nightly: .venv/installed
	$(BIN)/python -m pytest --timeout=7200

check: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright

fix: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

tiny: .venv/installed
	$(BIN)/python jobs/train.py --config training/tiny.yaml
	$(BIN)/python jobs/train.py --config training/tiny.yaml --export ursa_ray/checkpoint/tiny

bench: .venv/installed
	$(BIN)/python benchmarks/bench_vs_published.py --out renders/bench \
		$(if $(PUBLISHED),--published $(PUBLISHED) --python $(or $(PUBLISHED_PYTHON),$(PYTHON)))
	$(BIN)/python benchmarks/bench_savings.py --out renders/bench --case small --case "sampler + head"

clean:
	rm -rf .venv renders
