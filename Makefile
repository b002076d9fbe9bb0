# Sets up everything in .venv on a machine that has Python 3.11 or newer and a C++ compiler, then runs.
#   make demo    the three parties on one machine       make lint     ruff and mypy
#   make test    the tests                              make assure   the long campaigns
#   make bench   the benchmarks                         make clean    remove what was built here
#   make docs    the generated parts of docs/     make site     docs/ and references as a site in build/site
#   make bench-peers   the same work on other Paillier libraries
#   make assure-quick  the table of assurance from the tests of every change     make sbom, make pin   what is installed
#   make coverage  lines that the tests reach, Python and C++     make mutation  what the tests of the validators notice (an hour)
# PYTHON=/path/to/python3.12 chooses the interpreter; PYTEST_FLAGS is handed to pytest.

PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python3.14; do \
	if $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then echo $$p; break; fi; done)
PYTEST_FLAGS ?= -q
BUDGET ?= 600
FUZZ ?= 3600
EXAMPLES ?= 10000
VENV := .venv
PEERS := .venv-peers
LOG := $(VENV)/install.log

# One stamp for each kind of build: asking for another kind builds again.
KIND := $(VFLFAST_REQUIRE_NATIVE)-$(VFLFAST_NO_NATIVE)-$(VFLFAST_NO_GMP)-$(VFL_VERIFY)
READY := $(VENV)/.ready$(KIND)
STAMP := $(VENV)/.installed$(KIND)

.PHONY: demo test lint docs site bench bench-peers assure assure-quick coverage mutation install sbom pin clean

demo: $(READY)
	$(VENV)/bin/vflfast demo

test: $(STAMP)
	$(VENV)/bin/python -m pytest tests -n auto $(PYTEST_FLAGS)

lint: $(STAMP)
	$(VENV)/bin/python -m ruff check .
	$(VENV)/bin/python -m mypy

docs: $(STAMP)
	$(VENV)/bin/python docs/write.py
	$(VENV)/bin/python bench/write_page.py

# Warnings are errors: a link that leads nowhere, an anchor that is not there, a page that no menu has.
site: $(VENV)/.site
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict --quiet
	@echo "the site is in build/site"

$(VENV)/.site: $(STAMP) pyproject.toml
	@echo "installing what the site needs (log: $(LOG))"
	@$(VENV)/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["site"], sep="\n")' \
		>$(VENV)/site-requirements.txt
	$(call pip_install,--requirement $(VENV)/site-requirements.txt)
	@touch $@

bench: $(STAMP)
	$(VENV)/bin/python -m pytest bench --benchmark-only $(PYTEST_FLAGS)

# In an environment of its own: the peers pin what they like.
bench-peers: $(PEERS)/.installed
	$(PEERS)/bin/python -m pytest -s bench/bench_peers.py $(PYTEST_FLAGS)

$(PEERS)/.installed: pyproject.toml setup.py $(wildcard csrc/*/*)
	@"$(PYTHON)" -m venv $(PEERS)
	@echo "installing vflfast and its peers (log: $(PEERS)/install.log)"
	@$(PEERS)/bin/python -m pip install --pre --editable '.[peers]' >$(PEERS)/install.log 2>&1 </dev/null || { \
		echo "installation failed; see $(PEERS)/install.log" >&2; exit 1; }
	@touch $@

# Every test that measures something, the slow ones too, and docs/assurance.md from what they measured: an hour and three quarters on two cores.
# BUDGET and FUZZ: seconds of the campaigns and of the fuzzing. Work is stolen: tests of half an hour would hold up those behind them.
# First, alone on the machine, what share of a round the protections take: host and guest are meant to have a core each.
SHARE := tests/assurance/test_share.py
assure: $(STAMP)
	-$(VENV)/bin/python -m pytest $(SHARE) -m "slow or not slow" --keep-figures $(VENV)/share.json $(PYTEST_FLAGS)
	$(VENV)/bin/python -m pytest tests -n auto --dist worksteal -m "slow or not slow" --assure --deselect $(SHARE) --examples $(EXAMPLES) \
		--budget $(BUDGET) --fuzz $(FUZZ) --kept-figures $(VENV)/share.json --write-figures docs/assurance.md $(PYTEST_FLAGS)

assure-quick: $(STAMP)
	$(VENV)/bin/python -m pytest tests -n auto --assure $(PYTEST_FLAGS)

# Not part of the checks of every change: the one takes twice as long as the tests, the other an hour, and goes on where it was stopped.
coverage: $(VENV)/.covers
	$(VENV)/bin/python -m pytest tests -n auto --cov --cov-report=term-missing:skip-covered $(PYTEST_FLAGS)
	$(VENV)/bin/python tests/assurance/native_coverage.py

mutation: $(VENV)/.covers
	$(VENV)/bin/python tests/assurance/mutate.py --page docs/assurance-mutation.md

$(VENV)/.covers: $(STAMP)
	@$(VENV)/bin/python -m pip install 'pytest-cov>=7' 'coverage>=7.10' 'pybind11>=2.12' >>$(LOG) 2>&1 </dev/null
	@touch $@

install: $(STAMP)

# What is installed, as a CycloneDX bill of materials; and the same as pinned versions, for a Python of this version.
sbom: $(STAMP)
	@$(VENV)/bin/python tests/assurance/supply.py bom

pin: $(STAMP)
	$(VENV)/bin/python tests/assurance/supply.py constraints \
		> constraints-$$($(VENV)/bin/python -c 'import sys; print("%d.%d" % sys.version_info[:2])').txt

$(VENV)/bin/python:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
		echo "vflfast needs Python 3.11 or newer; '$(or $(PYTHON),python3)' is missing or older. Name one: make PYTHON=/path/to/python3.11" >&2; \
		exit 1; fi
	@echo "setting up $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV)

# pip's words go to a log, because they name hosts; versions are those of the constraints, where there are some for this Python.
define pip_install
	@pins=$$($(VENV)/bin/python -c 'import sys; print("constraints-%d.%d.txt" % sys.version_info[:2])'); \
	$(VENV)/bin/python -m pip install $$(test -f $$pins && echo "--constraint $$pins") $(1) >$(LOG) 2>&1 </dev/null || { \
		sed -E 's#[a-z+]+://[^ ,)]*#(index)#g; s#host=[^,)]*#host=(index)#g' $(LOG) | tail -n 40 >&2; \
		echo "installation failed; the whole log is in $(LOG)" >&2; exit 1; }
endef

# What a user needs. Editable, so that edits of the Python sources take effect at once.
$(READY): pyproject.toml setup.py $(wildcard csrc/*/*) | $(VENV)/bin/python
	@echo "installing vflfast and what it needs (a minute or two the first time; log: $(LOG))"
	@rm -f $(VENV)/.installed* $(VENV)/.ready*
	$(call pip_install,--editable '.[parquet]')
	@ls vflfast/_core*.so >/dev/null 2>&1 || echo "note: there is no native core (why: $(LOG)); vflfast computes on gmpy2, slowly"
	@touch $@

# What the tests need besides: the packages of the extra alone, so that the core is not built again.
$(STAMP): $(READY)
	@echo "installing what the tests need (log: $(LOG))"
	@$(VENV)/bin/python -c 'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["test"], sep="\n")' \
		>$(VENV)/test-requirements.txt
	$(call pip_install,--requirement $(VENV)/test-requirements.txt)
	@touch $@

clean:
	rm -rf $(VENV) build *.egg-info vflfast/_core*.so .pytest_cache .mypy_cache .ruff_cache .benchmarks .hypothesis
