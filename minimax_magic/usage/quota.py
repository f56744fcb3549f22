"""Watching what is left of a quota."""

from __future__ import annotations

import logging

logger = logging.getLogger("minimax_magic.quota")


class QuotaAlert:
    """Logs one structured warning each time the remaining quota falls to the threshold or below.

    The record carries `provider`, `remaining` and `threshold` as fields, for log-based alerting.

    Args:
        threshold: `rate_limit.quota_alert_threshold` of llm.yaml; None: never warn.
    """

    def __init__(self, threshold: int | None, provider: str = "minimax") -> None:
        self._threshold = threshold
        self._provider = provider
        self._below = False

    def observe(self, remaining: int | None) -> None:
        """Takes note of what the server says is left; None, for a silent server, changes nothing."""
        if self._threshold is None or remaining is None:
            return
        below = remaining <= self._threshold
        if below and not self._below:
            logger.warning(
                "quota threshold crossed provider=%s remaining=%d threshold=%d",
                self._provider,
                remaining,
                self._threshold,
                extra={
                    "provider": self._provider,
                    "remaining": remaining,
                    "threshold": self._threshold,
                },
            )
        self._below = below
