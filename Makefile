# Everything on a fresh machine: `make demo` and `make test`. See CONTRIBUTING.md.

PYTHON ?= python3
BIN := .venv/bin
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Two processes of up to 2.5 GB each; tests in one file share their setup.
PYTEST := -m pytest -n 2 --dist loadfile
FAST := -m "not long and not slow and not online"
LONG := -m "long and not slow and not online"
BOTH := -m "not slow and not online"

.PHONY: demo test test-long test-torch test-oldest test-newest coverage test-all test-online lint format docs notebooks package benchmark clean

# A separate environment that also sees the packages of .venv.
define beside
$(BIN)/python -m venv $(1)
site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
	echo "import site; site.addsitedir('$$($(BIN)/python -c "$$site")')" \
	> "$$($(1)/bin/python -c "$$site")/venv.pth"
endef

# Installs the package and what its demo, tests and linters need; again after a change.
.venv/installed: setup.py pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[demo,test]"
	touch $@

# The lower bounds of setup.py; TensorFlow 2.18 needs Python 3.10, 3.11 or 3.12.
.venv-oldest/installed: setup.py pyproject.toml tests/oldest.txt
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/bin/python -m pip install --quiet --upgrade pip
	.venv-oldest/bin/python -m pip install --quiet --constraint tests/oldest.txt \
		--editable ".[demo,test]"
	touch $@

# PyTorch beside the packages of .venv, for the tests on that backend; CPU build.
.venv-torch/installed: .venv/installed
	$(BIN)/python -m venv .venv-torch
	.venv-torch/bin/python -m pip install --quiet --no-compile torch==2.13.0
	site='import sysconfig; print(sysconfig.get_path("purelib"))'; \
		echo "import site; site.addsitedir('$$($(BIN)/python -c "$$site")')" \
		> "$$(.venv-torch/bin/python -c "$$site")/venv.pth"
	touch $@

# The TPU compiler apart from .venv, where JAX would look for a TPU in each test.
.venv-plan/installed: .venv/installed
	$(call beside,.venv-plan)
	.venv-plan/bin/python -m pip install --quiet --no-compile "jax[tpu]"
	touch $@

# The tools of the extra `docs` beside the packages of .venv.
.venv-docs/installed: .venv/installed
	$(call beside,.venv-docs)
	.venv-docs/bin/python -m pip install --quiet --no-compile "keras_effnetv2[docs]"
	touch $@

demo: .venv/installed
	rm -rf runs/demo
	$(BIN)/python examples/classify_photographs.py --workdir runs/demo/photographs
	$(BIN)/python examples/train_digits.py --workdir runs/demo

test: .venv/installed
	$(BIN)/python $(PYTEST) $(FAST)

# Tests of many seconds each: killed trainings, several processes, compilers.
test-long: .venv/installed
	$(BIN)/python $(PYTEST) $(LONG)

test-oldest: .venv-oldest/installed
	.venv-oldest/bin/python $(PYTEST) $(BOTH)

# The newest versions within the bounds of setup.py, installed afresh each time.
test-newest:
	rm -rf .venv-newest
	$(PYTHON) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet --upgrade pip
	.venv-newest/bin/python -m pip install --quiet --upgrade \
		--upgrade-strategy eager --editable ".[demo,test]"
	.venv-newest/bin/python $(PYTEST) $(BOTH)

# Which lines of the package the fast tests run, as a table and in htmlcov/.
coverage: .venv/installed
	$(BIN)/python -m coverage erase
	-$(BIN)/python -m coverage run $(PYTEST) $(BOTH)
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report --skip-covered --sort cover
	$(BIN)/python -m coverage html --quiet

# The same with the tests on PyTorch, which are skipped without its environment.
test-torch: .venv-torch/installed test

test-all: .venv/installed .venv-torch/installed .venv-plan/installed test-oldest
	$(BIN)/python $(PYTEST) -m "not online"

test-online: .venv/installed
	$(BIN)/python $(PYTEST) -m online

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/basedpyright

format: .venv/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# Executes the notebooks, whose outputs the site then shows; about a quarter of an hour.
notebooks: .venv-docs/installed
	.venv-docs/bin/python tools/docs/run_notebooks.py --output runs/notebooks

# The site in site/; a broken link or reference fails.
docs: .venv-docs/installed
	PATH="$$PWD/$(BIN):$$PATH" .venv-docs/bin/mkdocs build --strict

# Wheel and sdist in dist/, checked; the wheel is also tried without this repository.
package:
	rm -rf .venv-package build dist
	$(PYTHON) -m venv .venv-package
	.venv-package/bin/python -m pip install --quiet "build>=1.2,<2" "twine>=6.1,<8"
	.venv-package/bin/python -m build
	.venv-package/bin/twine check --strict dist/*
	$(PYTHON) -m venv --clear .venv-package
	.venv-package/bin/python -m pip install --quiet dist/*.whl
	cd dist && ../.venv-package/bin/python -P ../tools/try_installed.py

benchmark: .venv/installed
	$(BIN)/python tools/benchmark.py startup

clean:
	rm -rf .venv .venv-oldest .venv-newest .venv-torch .venv-plan .venv-docs .venv-package htmlcov .coverage runs build dist site *.egg-info .pytest_cache .ruff_cache
