"""Adaptive convolutions against plain torch: ``python benchmarks/adaptive.py --help``."""

import sys

from flexkern.app.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["bench", "adaptive", *sys.argv[1:]]))
