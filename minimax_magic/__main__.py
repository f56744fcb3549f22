"""`python -m minimax_magic`: see `command_line`."""

from __future__ import annotations

import sys

from minimax_magic.command_line import main

if __name__ == "__main__":
    sys.exit(main())
