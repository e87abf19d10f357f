# Two commands set everything up: `make demo` and `make test`. The rest is for those who change the code.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PRESET ?= smoke
OUT    ?= demo
DOMAINS ?= dna

.PHONY: demo test slow check constraints clean

demo: $(VENV)/.ready
	$(BIN)/foretell demo domains=$(DOMAINS) preset=$(PRESET) out=$(OUT)
test: $(VENV)/.ready
	$(BIN)/python -m pytest -m "not slow"
slow: $(VENV)/.ready
	$(BIN)/python -m pytest -m slow
check: $(VENV)/.ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
constraints: $(VENV)/.ready
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
clean:
	rm -rf $(VENV) $(OUT) *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt $(TORCH_FLAGS) torch
	$(BIN)/pip install -c constraints.txt -e '.[all,test]'
	touch $@
