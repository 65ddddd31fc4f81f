"""``python -m flexkern``: the same as the command ``flexkern``."""

import sys

from .app.cli.main import main

sys.exit(main())
