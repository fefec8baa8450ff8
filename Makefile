# make demo   environment, phantom, training, evaluation, report
# make test   environment, tests (SLOW=1: their long forms too)
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
DEMO   := results/demo
EPOCHS := 40# of each training of the demo
PAIRS  := 96,16,32# of the demo's phantom: training, validation, test

.PHONY: demo test lint render clean

demo: $(DEMO)/report.html

$(DEMO)/report.html: $(DEMO)/vxm_mse/test/metrics.json $(DEMO)/vxm_hetero/test/metrics.json
	$(RUN) -m tools.report --evaluations $(DEMO)/vxm_mse/test $(DEMO)/vxm_hetero/test \
	  --runs $(DEMO)/vxm_mse/train $(DEMO)/vxm_hetero/train --dataset $(DEMO)/phantom --output $@

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

test: $(VENV)/installed
	$(RUN) -m pytest $(if $(SLOW),,-m "not slow") $(PYTEST)

lint: $(VENV)/installed
	$(RUN) -m ruff check .
	$(RUN) -m tools.render --check

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

clean:
	rm -rf $(VENV) results
