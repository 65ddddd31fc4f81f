"""Single convolutions against other libraries: ``python benchmarks/conv.py --help``, or ``flexkern bench conv``."""

import sys

from flexkern.app.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", "conv", *sys.argv[1:]]))
