# Two commands set everything up: `make demo` and `make test`. The rest is for those who change the code.
PYTHON ?= python3
VENV   := .venv
PARITY := $(VENV)/parity
BIN    := $(VENV)/bin
PRESET ?= smoke
OUT    ?= demo
DOMAINS ?=

.PHONY: demo test slow parity check docs constraints clean

demo: $(VENV)/.ready
	$(BIN)/foretell demo $(if $(DOMAINS),domains=$(DOMAINS)) preset=$(PRESET) out=$(OUT)
test: $(VENV)/.ready
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile
slow: $(VENV)/.ready
	$(BIN)/python -m pytest -m slow
parity: $(PARITY)/.ready
check: $(VENV)/.ready
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy
docs: $(VENV)/.ready
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict && echo "open site/index.html"
constraints: $(VENV)/.ready
	$(BIN)/pip freeze --exclude-editable | sed 's/+cpu$$//' > constraints.txt
clean:
	rm -rf $(VENV) $(OUT) site *.egg-info .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install -c constraints.txt $(TORCH_FLAGS) torch
	$(BIN)/pip install -c constraints.txt -e '.[all,test]'
	touch $@

# mamba-ssm's own Python and Triton code, without its CUDA extension, where the rest of $(VENV) is seen too
$(PARITY)/.ready: $(VENV)/.ready tests/core/kernels/mamba_ssm_parity.txt
	$(BIN)/python -m venv $(PARITY)
	$(BIN)/python -c "import site; print(site.getsitepackages()[0])" \
		> "$$($(PARITY)/bin/python -c 'import site; print(site.getsitepackages()[0])')/beside.pth"
	$(PARITY)/bin/pip install -c constraints.txt setuptools wheel einops transformers
	MAMBA_FORCE_BUILD=TRUE MAMBA_SKIP_CUDA_BUILD=TRUE \
		$(PARITY)/bin/pip install --no-build-isolation --no-deps -r $(word 2,$^)
	touch $@
