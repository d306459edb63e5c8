# Teachbox. `make` or `make help` lists the targets.

GO       ?= go
BIN      := bin/teachbox
FUZZTIME ?= 10s

.DEFAULT_GOAL := help
.PHONY: help setup build run demo check test test-unit test-race test-lint test-fuzz bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch what building needs: compiler, TFLite, the model; twice does nothing twice
	@sh cmd/setup/packages.sh
	@$(GO) run ./cmd/setup

build: setup ## build bin/teachbox
	@mkdir -p bin
	$(GO) build -o $(BIN) ./cmd/teachbox

run: build ## run the box; simulated camera, buttons and LEDs in this terminal
	@$(BIN) run --sim

demo: build ## a one-minute scripted lesson that ends in a table
	@$(BIN) demo

check: setup ## the inner loop: format, vet and the quick tests (at most two minutes)
	@sh .ci/stage.sh format sh -c 'test -z "$$(gofmt -l $$(git ls-files "*.go" 2>/dev/null || find . -name "*.go" -not -path "./third_party/*") | tee /dev/stderr)"'
	@sh .ci/stage.sh vet $(GO) vet ./...
	@sh .ci/stage.sh "quick tests" $(GO) test -short ./...

test: setup ## every test, with its stages and their times (under 30 minutes on two cores)
	@sh .ci/stage.sh format sh -c 'test -z "$$(gofmt -l $$(git ls-files "*.go" 2>/dev/null || find . -name "*.go" -not -path "./third_party/*") | tee /dev/stderr)"'
	@sh .ci/stage.sh vet $(GO) vet ./...
	@sh .ci/stage.sh staticcheck $(GO) tool staticcheck ./...
	@sh .ci/stage.sh "modules verified" $(GO) mod verify
	@sh .ci/stage.sh "tests" $(GO) test -timeout 20m ./...
	@sh .ci/stage.sh "tests, race detector" $(GO) test -race -short -timeout 25m ./...
	@sh .ci/stage.sh "fuzzing, $(FUZZTIME) each" sh .ci/fuzz.sh $(FUZZTIME)

bench: setup ## benchmarks, with the machine they ran on
	@$(GO) test -run '^$$' -bench . -benchmem ./...

clean: ## remove what was built and fetched
	rm -rf bin third_party go.work go.work.sum models/*.tflite models/*.labels.txt
