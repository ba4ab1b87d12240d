# Slipway. `make deploy` serves the bundled app on this machine, `make test` proves the kit.
# Everything runs inside .venv, a locked controller environment; nothing is installed into the system's Python.

PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do \
	$$p -c 'import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo $$p && break; done)
INVENTORY ?= inventories/local
# Your own app: its folder, and where in it the callable is.
APP ?=
MODULE ?=
# Anything else for ansible-playbook, such as ARGS='-e nginx_http_port=8000 --check --diff'.
ARGS ?=

# Said outright, since Ansible ignores the file in a folder that everybody may write in; and it wants a locale in UTF-8.
export ANSIBLE_CONFIG ?= $(CURDIR)/ansible.cfg
ifneq ($(shell locale charmap 2>/dev/null),UTF-8)
export LC_ALL := C.UTF-8
endif

ANSIBLE := .venv/bin/ansible-playbook -i $(INVENTORY)
OWN_APP := $(if $(APP),-e '{"app_path": "$(abspath $(APP))"}') $(if $(MODULE),-e '{"module": "$(subst ",\",$(MODULE))"}')

.PHONY: help setup deploy render releases rollback remove test unit lint internals bench docs map clean
help: ## Show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1	\2/p' Makefile | expand -t 18

setup: .venv/test ## Make the controller environment in .venv, with what the tests need

.venv/controller: requirements/controller.txt
	@test -n "$(PYTHON)" || { echo "Slipway needs Python 3.11 to 3.13 with its venv module on this machine: apt-get install python3-venv" >&2; exit 1; }
	@test -x .venv/bin/python || $(PYTHON) -m venv .venv
	.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/controller.txt
	@touch $@

.venv/test: .venv/controller requirements/test.txt
	.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements/test.txt
	@touch $@

.venv/bench: .venv/test requirements/bench.txt
	.venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements/bench.txt
	@touch $@

deploy: .venv/controller ## Set up the hosts and deploy every app: INVENTORY=… APP=… MODULE=… ARGS=…
	$(ANSIBLE) site.yml $(OWN_APP) $(ARGS)

render: .venv/controller ## Write every artefact of every host under build/, contacting none
	$(ANSIBLE) playbooks/render.yml $(OWN_APP) $(ARGS)

releases: .venv/controller ## Show the releases on every host
	$(ANSIBLE) playbooks/releases.yml $(ARGS)

rollback: .venv/controller ## Go back to the last good release
	$(ANSIBLE) playbooks/rollback.yml $(OWN_APP) $(ARGS)

remove: .venv/controller ## Take the bundled app (or -e app=… in ARGS) off: ARGS='-e purge=true'
	$(ANSIBLE) playbooks/remove.yml -e app=demo $(ARGS)

test: .venv/test ## Everything: linters, unit and real tests, the Molecule scenarios
	.venv/bin/python -m tests.run $(ONLY)

lint: .venv/test ## The linters alone
	.venv/bin/python -m tests.run lint

unit: .venv/test ## The fast tests alone
	.venv/bin/python -m tests.run unit

internals: .venv/test ## The tests of how the kit uses Ansible, with every supported ansible-core (downloads each)
	.venv/bin/python -m tests.run internals

bench: .venv/bench ## Measure against rivals and rewrite docs/performance.md (three quarters of an hour, on a machine that does nothing else)
	.venv/bin/python -m benchmarks.deploys
	.venv/bin/python -m benchmarks.serving

docs: .venv/test ## Generate docs/reference.md and the roles' argument specifications from the schema
	PYTHONPATH=collections .venv/bin/python docs/generate.py

map: .venv/test ## Draw docs/map.svg: which layers of plugins/ import which
	.venv/bin/python docs/layers.py

clean: ## Remove what the other targets made in this folder
	rm -rf .venv .cache .ansible build
