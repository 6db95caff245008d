# The evaluator's kit (docs/artifact.md). moeram itself is built by pip: `pip install '.[test]'`.
#
#   make ae-kick-tires            under 5 minutes (measured: 34 s): does it run, and does it say what the documentation says?
#   make ae-full                  under 2 hours on two cores, under 16 GB: every test, reproduction and study
#   make ae-full DATA=FOLDER      also the studies on recorded routing and measured kernels (docs/artifact.md says which files)

PYTHON ?= python3
MOERAM ?= moeram
OUT ?= out/ae
DATA ?=

ROUTING := $(DATA)/routing
GPU := $(DATA)/gpu
INPUTS = $(if $(DATA), \
  --input olmoe_routing=$(ROUTING)/olmoe-1b-7b.npz \
  --input mixtral_routing=$(ROUTING)/mixtral-8x7b-mtbench \
  --input b200_moe=$(GPU)/b200_moe_vllm-0.24.0.parquet \
  --input b200_gemm=$(GPU)/b200_gemm_vllm-0.19.0.parquet \
  --input b200_context_attention=$(GPU)/b200_context_attention_vllm-0.19.0.parquet \
  --input b200_generation_attention=$(GPU)/b200_generation_attention_vllm-0.19.0.parquet)
MEASURED = $(if $(DATA),--measured $(GPU))

.PHONY: ae-kick-tires ae-full ae-tests ae-slow-tests ae-studies ae-repro ae-main ae-data

ae-kick-tires: ae-main
	$(MOERAM) check device HBM3@2.1
	$(MOERAM) assumptions list > $(OUT)/assumptions.txt
	$(MOERAM) study run e1_tiering_parts -q -o $(OUT)/studies --compare docs/studies/tables
	$(PYTHON) -m pytest -q tests/test_architecture.py tests/physics/test_row_cycle.py tests/physics/test_conservation.py
	@echo "ae-kick-tires: everything ran and agrees"

# Tests are single processes and run two at a time; reproductions and studies take all cores by themselves.
ae-full: ae-main
	$(MAKE) -j2 --output-sync=target ae-tests ae-slow-tests
	$(MAKE) ae-repro
	$(MAKE) ae-studies
	@echo "ae-full: everything ran and agrees"

# A wrong folder is to fail at once, not after the tests; without DATA there is nothing to look for.
ae-data:
	@for path in $(foreach input,$(filter-out --input,$(INPUTS)),$(lastword $(subst =, ,$(input)))); do \
	  test -e "$$path" || { echo "DATA=$(DATA): no $$path (docs/artifact.md says which files)" >&2; exit 2; }; done

ae-main: ae-data
	@mkdir -p $(OUT)
	$(MOERAM) run quickstart -o $(OUT)/quickstart

ae-tests:
	$(PYTHON) -m pytest -q

ae-slow-tests:
	$(PYTHON) -m pytest -q -m slow

ae-repro:
	@mkdir -p $(OUT)
	$(MOERAM) repro stratum -q -o $(OUT)/repro-stratum $(MEASURED)
	$(MOERAM) repro sieve -q -o $(OUT)/repro-sieve $(MEASURED)

ae-studies:
	@mkdir -p $(OUT)
	$(MOERAM) study run -q -o $(OUT)/studies --compare docs/studies/tables $(INPUTS)
