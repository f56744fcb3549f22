"""`python -m minimax_magic.simulator`: serve until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import sys

from minimax_magic.simulator import choose
from minimax_magic.simulator.server import DEFAULT_KEY, Simulator


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m minimax_magic.simulator",
        description="A local server that speaks MiniMax's API. No model, no cost.",
        epilog=choose.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0: any free one (the default)")
    parser.add_argument("--key", default=DEFAULT_KEY, help="the key to accept")
    parser.add_argument(
        "--delay-ms", type=float, default=15.0, help="between two chunks (default: 15)"
    )
    parser.add_argument(
        "--x-api-key", action="store_true", help="accept the key in X-Api-Key too (Anthropic wire)"
    )
    parser.add_argument(
        "--token-lifetime-s",
        type=float,
        default=900.0,
        help="how long an access token lasts after a login (default: 900)",
    )
    return parser


async def _serve(simulator: Simulator) -> None:
    async with simulator as sim:
        print(
            f"MiniMax simulator on {sim.url}; point the magic at it with "
            f"MINIMAX_BASE_URL={sim.url} MINIMAX_CODE_PLAN_KEY={sim.key}",
            f"or without a key: MINIMAX_BASE_URL={sim.url} and then %minimax login",
            sep="\n",
            flush=True,
        )
        await asyncio.Event().wait()


def main(argv: list[str] | None = None) -> int:
    """Run it; the exit code."""
    options = _parser().parse_args(argv)
    simulator = Simulator(
        host=options.host,
        port=options.port,
        key=options.key,
        delay_s=max(0.0, options.delay_ms) / 1000,
        accept_x_api_key=options.x_api_key,
    )
    simulator.account.access_token_lifetime_s = options.token_lifetime_s
    try:
        asyncio.run(_serve(simulator))
    except KeyboardInterrupt:
        return 0
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        print(f"cannot listen on {options.host}:{options.port}: {reason}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
