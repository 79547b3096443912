# Each verb does its own set-up. CI runs `make test` and `make check`.
PYTHON ?= python3
BIN = .venv/bin
export PYTHONDONTWRITEBYTECODE :=  # what is compiled once is kept: tests start hundreds of programs

.PHONY: demo demo-cli test test-long check fix docs bench bench-gateway bench-layers bench-peers sim lock setup setup-dev clean

demo: setup               ## the gateway on a simulated cloud, waiting for your clients: no account, no network
	@$(BIN)/rightseat demo

demo-cli: setup           ## the real Copilot CLI, a simulated cloud, a streamed answer
	@$(BIN)/rightseat demo-cli

JOBS ?= 3
COVERAGE ?= 85
test: setup-dev           ## all tests, with the real CLI, their coverage measured: below COVERAGE=85 they fail, COVERAGE= measures nothing; JOBS=1: one after another
	$(if $(COVERAGE),LEAST_COVERAGE=$(COVERAGE)) $(BIN)/python -m pytest $(if $(COVERAGE),-p tests.measure_coverage) $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist worksteal)

test-long: setup-dev      ## all tests, those of numbers with millions of steps and full floods: some ten minutes more
	RIGHTSEAT_LONG_TESTS=1 $(BIN)/python -m pytest $(if $(filter-out 1,$(JOBS)),-n $(JOBS) --dist worksteal)

check: setup-dev          ## format, lint, types, generated files
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/mypy tests/typing
	$(BIN)/pyright
	$(BIN)/python scripts/generate_session_events.py --check
	$(BIN)/python scripts/generate_rpc.py --check
	$(BIN)/python scripts/generate_sync.py --check

fix: setup-dev            ## what can be mended by machine
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/python scripts/generate_session_events.py
	$(BIN)/python scripts/generate_rpc.py
	$(BIN)/python scripts/generate_sync.py

bench: setup-dev          ## ratios: the SDK beside the official one, the gateway beside nginx and the peers that are installed (needs wrk)
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks.layers
	$(BIN)/python -m benchmarks.redaction
	$(BIN)/python -m benchmarks.gateway

bench-layers: setup-dev   ## what the layers cost, beside stamina, tenacity and aiolimiter
	$(BIN)/python -m benchmarks.layers

bench-gateway: setup-dev  ## the gateway's half alone
	$(BIN)/python -m benchmarks.gateway

bench-peers: setup-dev    ## install the peers that the gateway is measured beside (large)
	$(BIN)/python -m benchmarks.peers

docs: setup-dev           ## the documentation as pages, in .site
	$(BIN)/mkdocs build --quiet

SEEDS ?= 10000
sim: setup-dev            ## random worlds in virtual time: SEEDS=n of them, or SEED=n alone
	$(BIN)/python -m tests.layers.test_chaos $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))
	$(BIN)/python -m tests.sdk.worlds $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))
	$(BIN)/python -m tests.state.worlds $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))
	$(BIN)/python -m tests.gateway.worlds $(if $(SEED),--seed $(SEED),--seeds $(SEEDS))

lock: setup-dev           ## requirements/*.txt anew (needs uv)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python scripts/lock.py

setup:
	@$(PYTHON) scripts/bootstrap.py runtime

setup-dev:
	@$(PYTHON) scripts/bootstrap.py dev

clean:
	rm -rf .venv node_modules .bench .pytest_cache .mypy_cache .ruff_cache .hypothesis dist
