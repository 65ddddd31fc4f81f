"""``python -m flexkern``: the same as the command ``flexkern``."""

import sys

from .cli.main import main

sys.exit(main())
