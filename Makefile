# Each target sets up what it needs in .venv; nothing else on the machine is touched.
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin/python

.PHONY: demo test check clean

demo: $(VENV)/ready      ## train on the embedded corpus, translate its held-out test, show the score
	$(RUN) -m seqexp.train

test: $(VENV)/ready      ## the tests, one thread a process
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 --dist worksteal

check: $(VENV)/ready     ## what continuous integration checks besides the tests
	$(VENV)/bin/ruff format --check
	$(VENV)/bin/ruff check
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

$(VENV)/ready: pyproject.toml requirements/constraints-py311.txt
	PYTHON="$(PYTHON)" VENV="$(VENV)" sh requirements/install.sh
	touch $@

clean:
	rm -rf $(VENV) build dist
