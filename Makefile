# Teachbox. `make` or `make help` lists the targets.

GO       ?= go
BIN      := bin/teachbox
FUZZTIME ?= 5s
STAGE    := sh .ci/stage.sh
# Prints the files that are not formatted, and fails if there are any.
GOFMT    := sh -c 'test -z "$$(find . -name "*.go" -not -path "./third_party/*" -exec gofmt -l {} + | tee /dev/stderr)"'

# The packages with tests for the virtual Pi.
KERNEL   = $$(find . -name '*kernel_test.go' -not -path './third_party/*' -exec dirname {} + | sort -u)

.DEFAULT_GOAL := help
.PHONY: help setup build run demo check test test-kernel bench clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup: ## fetch what building needs: compiler, TFLite, the model; twice does nothing twice
	@sh cmd/setup/packages.sh
	@GOWORK=off $(GO) run ./cmd/setup
	@echo "set up"

build: setup ## build bin/teachbox
	@mkdir -p bin
	$(GO) build -o $(BIN) ./cmd/teachbox

run: build ## run the box in this terminal; what is not there, camera or GPIO, is simulated
	@$(BIN) run --sim-missing

demo: build ## a one-minute scripted lesson that ends in a table
	@$(BIN) demo

check: setup ## the inner loop: format, vet and the quick tests (at most two minutes)
	@$(STAGE) format $(GOFMT)
	@$(STAGE) vet $(GO) vet ./...
	@$(STAGE) "quick tests" $(GO) test -short ./...

test: setup ## every test, with its stages and their times (under 30 minutes on two cores)
	@$(STAGE) format $(GOFMT)
	@$(STAGE) vet $(GO) vet ./...
	@$(STAGE) "vet, kernel tests" $(GO) vet -tags kernel ./...
	@$(STAGE) staticcheck $(GO) tool staticcheck -tags kernel ./...
	@$(STAGE) "modules verified" $(GO) mod verify
	@$(STAGE) "tests" $(GO) test -timeout 20m ./...
	@$(STAGE) "tests, race detector" $(GO) test -race -short -timeout 25m ./...
	@$(STAGE) "fuzzing, $(FUZZTIME) each" sh .ci/fuzz.sh $(FUZZTIME)
	@$(MAKE) --no-print-directory test-kernel

test-kernel: setup ## the arm64 program on a real kernel with simulated camera and GPIO drivers, in QEMU
	@sh cmd/setup/packages.sh kernel
	@$(GO) build -o bin/virtualpi ./cmd/virtualpi
	@$(STAGE) "virtual Pi: kernel and modules" bin/virtualpi prepare
	@$(STAGE) "virtual Pi: the arm64 program" env GOARCH=arm64 CGO_ENABLED=1 CC=aarch64-linux-gnu-gcc $(GO) build -o $(BIN)-arm64 ./cmd/teachbox
	@$(STAGE) "virtual Pi: tests" bin/virtualpi test -p 1 -timeout 15m -run '^TestKernel' $(KERNEL)

bench: setup ## benchmarks, with the machine they ran on
	@$(GO) test -run '^$$' -bench . -benchmem ./...

clean: ## remove what was built and fetched
	rm -rf bin third_party go.work go.work.sum models/*.tflite models/*.labels.txt
