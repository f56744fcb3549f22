"""What the model is told about a value that the cell names with `--ctx`.

The kinds of values have a module each; here they are asked in turn. Looking at a value runs code of
the user's (`__repr__`, properties): none of it can end a description, and nothing is changed.
"""

from __future__ import annotations

from typing import Any

from minimax_magic.context.arrays import describe_array
from minimax_magic.context.code import describe_code
from minimax_magic.context.figures import describe_figure
from minimax_magic.context.pieces import Piece, attempt, context_text, cut, is_a, type_name
from minimax_magic.context.tables import describe_table
from minimax_magic.context.tracebacks import describe_error
from minimax_magic.context.values import describe_container, describe_object, describe_scalar
from minimax_magic.errors import ConfigError
from minimax_magic.images import figure_of, image_block
from minimax_magic.text import whole

__all__ = ["Piece", "context_text", "describe", "describe_error"]

# of a whole piece, rows included
_MOST_CHARS = 80_000


def describe(name: str, value: Any, *, rows: int = 0) -> Piece:
    """What is told about a value; it never raises.

    Tables, arrays and containers are told by schema, size, missing counts and statistics. Text and
    numbers are nothing but their value, which is told.

    Args:
        name: As the user wrote it.
        rows: How many of the first rows or entries are told with their values; 0: none.
    """
    if is_a(value, BaseException):
        return Piece(name, describe_error(value).text)
    figure = attempt(lambda: figure_of(value), None)
    if figure is not None:
        return _figure_piece(name, figure)
    rows = max(rows, 0)
    text = attempt(lambda: _text_of(value, rows), None)
    if text is None:
        text = f"a value of type {type_name(value)} that cannot be looked at"
    return Piece(name, whole(cut(text, _MOST_CHARS)))


def _text_of(value: Any, rows: int) -> str:
    text = describe_scalar(value)
    if text is None:
        text = describe_table(value, rows)
    if text is None:
        text = describe_array(value, rows)
    if text is None:
        text = describe_code(value)
    if text is None:
        text = describe_container(value, rows)
    return describe_object(value, rows) if text is None else text


def _figure_piece(name: str, figure: Any) -> Piece:
    text = attempt(lambda: describe_figure(figure), "matplotlib figure")
    try:
        return Piece(name, whole(text), image_block(figure, name=name))
    except ConfigError as error:
        return Piece(name, whole(f"{text}\nIts picture is not attached: {error.message}"))
