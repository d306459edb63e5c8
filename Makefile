# Teachbox. `make` or `make help` lists the targets.

GO       ?= go
BIN      := bin/teachbox
FUZZTIME ?= 10s
STAGE    := sh .ci/stage.sh
# Prints the files that are not formatted, and fails if there are any.
GOFMT    := sh -c 'test -z "$$(find . -name "*.go" -not -path "./third_party/*" -exec gofmt -l {} + | tee /dev/stderr)"'

.DEFAULT_GOAL := help
.PHONY: help setup build run demo check test bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch what building needs: compiler, TFLite, the model; twice does nothing twice
	@sh cmd/setup/packages.sh
	@$(GO) run ./cmd/setup
	@echo "set up"

build: setup ## build bin/teachbox
	@mkdir -p bin
	$(GO) build -o $(BIN) ./cmd/teachbox

run: build ## run the box; simulated camera, buttons and LEDs in this terminal
	@$(BIN) run --sim

demo: build ## a one-minute scripted lesson that ends in a table
	@$(BIN) demo

check: setup ## the inner loop: format, vet and the quick tests (at most two minutes)
	@$(STAGE) format $(GOFMT)
	@$(STAGE) vet $(GO) vet ./...
	@$(STAGE) "quick tests" $(GO) test -short ./...

test: setup ## every test, with its stages and their times (under 30 minutes on two cores)
	@$(STAGE) format $(GOFMT)
	@$(STAGE) vet $(GO) vet ./...
	@$(STAGE) staticcheck $(GO) tool staticcheck ./...
	@$(STAGE) "modules verified" $(GO) mod verify
	@$(STAGE) "tests" $(GO) test -timeout 20m ./...
	@$(STAGE) "tests, race detector" $(GO) test -race -short -timeout 25m ./...
	@$(STAGE) "fuzzing, $(FUZZTIME) each" sh .ci/fuzz.sh $(FUZZTIME)

bench: setup ## benchmarks, with the machine they ran on
	@$(GO) test -run '^$$' -bench . -benchmem ./...

clean: ## remove what was built and fetched
	rm -rf bin third_party go.work go.work.sum models/*.tflite models/*.labels.txt
