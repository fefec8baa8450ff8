# make demo   environment, phantom, training, evaluation, report
# make table  environment, phantom, a short training of every bundle, classical opponents, one page that compares them
# make test   environment, tests (SLOW=1: their long forms too)
# make docs   environment, documentation in build/site
# make label  an environment of its own with MONAI Label (Python 3.11 or newer), and its server on this machine: with demo
#             images, or STUDIES=DIR; it prints the lines to ask it by
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
DEMO   := results/demo
EPOCHS := 40# of each training of the demo
PAIRS  := 96,16,32# of the demo's phantom: training, validation, test
TABLE  := results/table
TABLE_EPOCHS := 10# of each training of the table
BUNDLES := $(notdir $(wildcard bundles/*))
BASELINES := undeformed demons elastix# ants and greedy too, where they are installed
JOBS   := 2# trainings at a time
LABEL  := .venv-label# MONAI Label's environment
LABEL_BUNDLES := vxm_hetero vxm_hetero_disp# that its server knows
PORT   := 8000

.PHONY: demo table test docs label test-label lint render clean

demo: $(DEMO)/report.html

$(DEMO)/report.html: $(DEMO)/vxm_mse/test/metrics.json $(DEMO)/vxm_hetero/test/metrics.json
	$(RUN) -m tools.report --evaluations $(DEMO)/vxm_mse/test $(DEMO)/vxm_hetero/test \
	  --trainings $(DEMO)/vxm_mse/train $(DEMO)/vxm_hetero/train --dataset $(DEMO)/phantom --output $@

$(DEMO)/%/test/metrics.json: $(DEMO)/%/train/finished
	$(RUN) -m monai.bundle run evaluation --config_file bundles/$*/configs/evaluate.yaml \
	  --dataset_dir $(DEMO)/phantom --split test --checkpoint $(<D)/model.pt --output_dir $(@D)

$(DEMO)/%/train/finished: $(DEMO)/phantom/dataset.json  # a training that was stopped goes on where it was
	$(RUN) -m monai.bundle run training --config_file bundles/$*/configs/train.yaml \
	  --dataset_dir $(DEMO)/phantom --output_dir $(@D) --max_epochs $(EPOCHS)
	touch $@
.PRECIOUS: $(DEMO)/%/train/finished $(DEMO)/%/test/metrics.json

$(DEMO)/phantom/dataset.json: | $(VENV)/installed
	$(RUN) -m tools.prepare phantom --output $(@D) --pairs $(PAIRS)

table: $(VENV)/baselines  # goes on where it was stopped
	test -s $(TABLE)/phantom/dataset.json || $(RUN) -m tools.prepare phantom --output $(TABLE)/phantom --pairs $(PAIRS)
	$(RUN) -m tools.train_all --dataset $(TABLE)/phantom --output $(TABLE)/runs --bundles $(BUNDLES) --seeds 0 \
	  --override max_epochs=$(TABLE_EPOCHS) --jobs $(JOBS)
	$(RUN) -m tools.compare --dataset $(TABLE)/phantom --split val --output $(TABLE) --runs $(TABLE)/runs $(BASELINES)

test: $(VENV)/installed
	$(RUN) -m pytest $(if $(SLOW),,-m "not slow") $(PYTEST)

docs: $(VENV)/docs
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

label: $(LABEL)/label
	$(LABEL)/bin/python -m tools.label --bundles $(LABEL_BUNDLES) --port $(PORT) $(if $(STUDIES),--studies $(STUDIES))

test-label: $(LABEL)/label
	$(LABEL)/bin/python -m pytest tests/label $(PYTEST)

lint: $(VENV)/installed
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) -m mypy
	$(RUN) -m tools.render --check
	$(RUN) -m tools.tables --check

render: $(VENV)/installed
	$(RUN) -m tools.render

$(VENV)/installed: requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || \
	  { echo "make: $(PYTHON) is missing or older than Python 3.10: name another by make PYTHON=..."; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' || \
	  { echo "make: $(PYTHON) has no venv: install it (Debian, Ubuntu: apt install python3-venv)"; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt
	$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

$(VENV)/baselines: requirements-baselines.txt | $(VENV)/installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-baselines.txt
	touch $@

$(VENV)/docs: requirements-docs.txt | $(VENV)/installed
	$(RUN) -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	touch $@

$(LABEL)/label: requirements-label.txt requirements.txt pyproject.toml  # two packages pin what contradicts ours
	$(MAKE) VENV=$(LABEL) $(LABEL)/installed
	$(LABEL)/bin/python -m pip install --quiet --disable-pip-version-check -r requirements.txt -r requirements-label.txt
	$(LABEL)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps monailabel==0.8.5 pydicom-seg==0.4.1
	touch $@

clean:
	rm -rf $(VENV) $(LABEL) build results
