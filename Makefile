# One word for what is done often, in the environment that is active. CONTRIBUTING.md says how to make one.
.PHONY: check lint test slow ci page constraints schemas goldens site

check: lint test  ## lint, format, types, import rules, fast tests

lint:
	ruff check .
	ruff format --check .
	mypy
	lint-imports

test:  ## fast tests
	OMP_NUM_THREADS=1 pytest -n 2

slow:  ## tests that take more than a few seconds
	OMP_NUM_THREADS=1 pytest -n 2 -m slow

ci:  ## everything, from a fresh clone in fresh environments
	.ci/run

page:  ## the code of the page that `sparseplan explore` writes, from its sources and the lockfile
	cd sparseplan/explore/web && npm ci --ignore-scripts && npm run build

constraints:  ## pin what a fresh development environment is made of today; needs Python 3.11 on Linux
	sh scripts/pin_versions.sh > constraints/dev.txt.new
	mv constraints/dev.txt.new constraints/dev.txt

site:  ## the documentation as a site, in build/site; a link that leads nowhere fails
	mkdocs build --strict

schemas:  ## the JSON Schemas of laws, recipes and profiles, from the code
	python scripts/write_schemas.py

goldens:  ## the expected outputs of the commands
	SPARSEPLAN_WRITE_GOLDEN=1 pytest -q tests/cli -k golden
