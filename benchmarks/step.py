"""Training steps against the authors' algorithm: ``python benchmarks/step.py --help``, or ``flexkern bench step``."""

import sys

from flexkern.app.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", "step", *sys.argv[1:]]))
