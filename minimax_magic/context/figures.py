"""matplotlib figures in words: titles, labels, legends and what is drawn; the picture beside it."""

from __future__ import annotations

from typing import Any, Final

from minimax_magic.context.pieces import MOST_NAMES, attempt, count_text, name_text

_MOST_AXES: Final = 20


def describe_figure(figure: Any) -> str:
    """What stands on a figure, axes by axes."""
    width, height = figure.get_size_inches()
    lines = [f"matplotlib figure, {width:.3g} x {height:.3g} inches, {len(figure.axes)} axes"]
    if title := attempt(figure.get_suptitle, ""):
        lines.append(f"Title: {name_text(title)}")
    for number, axes in enumerate(figure.axes[:_MOST_AXES], 1):
        lines.append(f"Axes {number}: {attempt(lambda axes=axes: _axes(axes), 'not readable')}")  # type: ignore[misc]
    if len(figure.axes) > _MOST_AXES:
        lines.append(f"[{len(figure.axes) - _MOST_AXES:,} more axes are left out]")
    return "\n".join(lines)


def _axes(axes: Any) -> str:
    facts = [
        f"{what} {name_text(text)}"
        for what, text in (
            ("title", axes.get_title()),
            ("x label", axes.get_xlabel()),
            ("y label", axes.get_ylabel()),
        )
        if text
    ]
    legend = axes.get_legend()
    if legend is not None:
        entries = [name_text(text.get_text()) for text in legend.get_texts()[:MOST_NAMES]]
        facts.append(f"legend {', '.join(entries)}")
    lines = [_line(line) for line in axes.lines[:MOST_NAMES]]
    if lines:
        facts.append(f"{count_text(len(axes.lines), 'line')} ({'; '.join(lines)})")
    for what in ("collections", "patches", "images"):
        if count := len(getattr(axes, what)):
            facts.append(f"{count} {what}")
    return ", ".join(facts) or "empty"


def _line(line: Any) -> str:
    label = str(line.get_label())
    # matplotlib's own labels begin with an underscore
    named = "" if label.startswith("_") else f"{name_text(label)}, "
    return f"{named}{len(line.get_xdata()):,} points"
