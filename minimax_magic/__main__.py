"""`python -m minimax_magic`: see `command_line`."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    try:
        from minimax_magic.command_line import main

        code = main()
    except KeyboardInterrupt:  # before `main` could say so itself
        code = 130
    sys.exit(code)
