"""The dashboard's chart: bars over days, or over groups where there is only one day.

altair has its only home here and is imported when a chart is drawn. What is put out is Vega-Lite 5,
for which JupyterLab, Notebook 7 and VS Code have a renderer of their own; altair 6 speaks of version
6, but what is used here is in both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final, Literal

from minimax_magic.render.dashboard_tables import (
    Cell,
    Table,
    cost_of,
    name_of,
    padded,
    shortened,
    width_of,
)
from minimax_magic.render.usage_table import is_rough, tokens_words
from minimax_magic.usage.rows import GroupBy, Totals

Measure = Literal["cost", "tokens", "requests"]
Period = Literal["day", "week", "month"]
Row = tuple[str, str | None, Totals]
"""A local day, the key of a group and their sums: what `Ledger.grid` gives."""

VEGALITE: Final = "application/vnd.vegalite.v5+json"
SCHEMA: Final = "https://vega.github.io/schema/vega-lite/v5.json"
# The page's own defaults would draw on a canvas, of which neither search nor a screen reader can
# read the text, and offer to open the data on a web site. JupyterLab looks here, others in the spec.
_EMBED: Final = {"renderer": "svg", "actions": False}
METADATA: Final = {VEGALITE: {"embed_options": _EMBED}}
MISSING: Final = "Charts need altair: pip install 'minimax-magic[dashboard]'"

# More colours cannot be told apart.
_MOST_GROUPS: Final = 8
# So many bars are still wide enough to point at; beyond, they stand for weeks, then for months.
_MOST_DAYS: Final = 92
_MOST_WEEKS: Final = 80
_NAME_CHARS: Final = 60
_TEXT_BAR: Final = 30
_WIDTH: Final = 660

# Readable on white and on black alike.
_GREY: Final = "#7a7a7a"
_LINE: Final = "rgba(128,128,128,0.22)"
_COLOURS: Final = (
    "#4c84c4",
    "#f08a24",
    "#3fa66a",
    "#d9534f",
    "#9a6fc8",
    "#35a7b5",
    "#c9a227",
    "#d76fa8",
    "#a5673f",
)
_NOBODY: Final = "#9c9c9c"
_OTHERS: Final = "#6f7378"

_UNITS: Final[dict[Measure, str]] = {
    "cost": "Cost in US dollars",
    "tokens": "Tokens",
    "requests": "Requests",
}
_NOTHING: Final[dict[Measure, str]] = {
    "cost": "Nothing was spent in this range.",
    "tokens": "No tokens were used in this range.",
    "requests": "There are no requests in this range.",
}


@dataclass(frozen=True, slots=True)
class Bars:
    """What the chart shows.

    Attributes:
        by: What the groups are. Of `day` there is one, with an empty name.
        period: What one bar stands for.
        starts: The first day of each period, without gaps, as `2026-11-21`.
        names: Of the groups, from the one with most to the one with least; all different.
        colours: One for each of them.
        sums: Of a period (its first day) and a group (its name), where there are any.
    """

    measure: Measure
    by: GroupBy
    period: Period
    starts: tuple[str, ...]
    names: tuple[str, ...]
    colours: tuple[str, ...]
    sums: dict[tuple[str, str], Totals]
    simulated: bool = False

    @property
    def title(self) -> str:
        when = f", {self.starts[0]}" if len(self.starts) == 1 else f" per {self.period}"
        return f"{_UNITS[self.measure]}{when}" + (" (simulated)" if self.simulated else "")

    @property
    def nothing(self) -> str:
        """A sentence if all bars have no height, empty otherwise."""
        if any(value_of(totals, self.measure) for totals in self.sums.values()):
            return ""
        if self.measure == "cost" and any(totals.unpriced for totals in self.sums.values()):
            return "No price is known for these requests. Choose Tokens or Requests to see them."
        return _NOTHING[self.measure]


def value_of(totals: Totals, measure: Measure) -> Decimal:
    """The sum that a measure is about."""
    match measure:
        case "cost":
            return totals.cost
        case "tokens":
            return Decimal(totals.usage.total_tokens)
        case "requests":
            return Decimal(totals.requests)


def text_of(totals: Totals, measure: Measure) -> Cell:
    """The same for people."""
    match measure:
        case "cost":
            return cost_of(totals)
        case "tokens":
            return Cell(_tokens(totals))
        case "requests":
            return Cell(f"{totals.requests:,}")


def _tokens(totals: Totals) -> str:
    return tokens_words(totals.usage.total_tokens, rough=is_rough(totals))


def arranged(
    grid: Sequence[Row],
    by: GroupBy,
    measure: Measure,
    *,
    first: date | None = None,
    last: date | None = None,
    simulated: bool = False,
    colours: dict[str | None, str] | None = None,
) -> Bars:
    """Puts sums by day and group into few enough periods and groups to be seen.

    Args:
        grid: In any order.
        first, last: The days of the range; where None, those with the first and last sums.
        colours: Those that keys had before, so that a filter does not change them; new ones are added.
    """
    days = [date.fromisoformat(day) for day, _key, _totals in grid]
    first = min([*days, first] if first else days)
    last = max([*days, last] if last else days)
    period = _period(first, last)
    starts = tuple(str(start) for start in _starts(first, last, period))

    named = {} if by == "day" else _names(grid, by, measure)
    sums: dict[tuple[str, str], Totals] = defaultdict(Totals)
    for (_day, key, totals), day in zip(grid, days, strict=True):
        sums[str(_start(day, period)), named.get(key, "")] += totals
    names = tuple(dict.fromkeys(named.values())) or ("",)
    found = tuple(_colours(named, names, {} if colours is None else colours))
    return Bars(measure, by, period, starts, names, found, dict(sums), simulated)


def _period(first: date, last: date) -> Period:
    days = (last - first).days + 1
    if days <= _MOST_DAYS:
        return "day"
    return "week" if days <= _MOST_WEEKS * 7 else "month"


def _start(day: date, period: Period) -> date:
    match period:
        case "day":
            return day
        case "week":
            return day - timedelta(days=day.weekday())
        case "month":
            return day.replace(day=1)


def _starts(first: date, last: date, period: Period) -> Iterable[date]:
    start = _start(first, period)
    while start <= last:
        yield start
        step = {"day": 1, "week": 7, "month": 31}[period]
        start = _start(start + timedelta(days=step), period)


def _names(grid: Sequence[Row], by: GroupBy, measure: Measure) -> dict[str | None, str]:
    """A name for each key, those with most first. What is beyond the limit has one together."""
    sums: dict[str | None, Totals] = defaultdict(Totals)
    for _day, key, totals in grid:
        sums[key] += totals
    order = sorted(
        sums, key=lambda key: (-value_of(sums[key], measure), -sums[key].requests, name_of(key))
    )
    # one more is shown rather than called "1 others"
    room = _MOST_GROUPS if len(order) > _MOST_GROUPS + 1 else len(order)
    named: dict[str | None, str] = {}
    for key in order[:room]:
        name = shortened(name_of(key), _NAME_CHARS)
        if measure == "cost" and sums[key].unpriced and not sums[key].cost:
            name += " (no price known)"
        named[key] = _unique(name, named.values())
    others = _unique(f"{len(order) - room} others", named.values())
    return named | dict.fromkeys(order[room:], others)


def _unique(name: str, taken: Iterable[str]) -> str:
    taken = set(taken)
    number, candidate = 1, name
    while candidate in taken:
        number += 1
        candidate = f"{name} ({number})"
    return candidate


def _colours(
    named: dict[str | None, str], names: Sequence[str], kept: dict[str | None, str]
) -> Iterable[str]:
    keys = {name: key for key, name in named.items()}
    several = {name for name in names if list(named.values()).count(name) > 1}
    shown = {kept[key] for key in named if key in kept}
    # those that nobody ever had come first
    free = [c for c in _COLOURS if c not in kept.values()]
    free += [c for c in _COLOURS if c not in shown and c not in free]
    for name in names:
        key = keys.get(name)
        if name in several:
            yield _OTHERS
        elif name and name_of(key) == name_of(None):
            yield _NOBODY
        else:
            if key not in kept:
                kept[key] = free.pop(0) if free else _OTHERS
            yield kept[key]


# ------------------------------------------------------------------------------------- as texts


def bars_table(bars: Bars) -> Table:
    """All that the chart shows, the last period first."""
    single = len(bars.names) == 1
    rows = []
    for start in reversed(bars.starts):
        found = [bars.sums.get((start, name)) for name in bars.names]
        if any(found):
            cells = [Cell("") if it is None else text_of(it, bars.measure) for it in found]
            together = sum((it for it in found if it is not None), Totals())
            all_of_it = () if single else (text_of(together, bars.measure),)
            rows.append((Cell(start), *cells, *all_of_it))
    columns = [name or _UNITS[bars.measure] for name in bars.names]
    return Table(
        caption=f"The chart as a table: {bars.title}",
        columns=(bars.period.capitalize(), *columns, *(() if single else ("All",))),
        rows=tuple(rows),
    )


def bars_text(bars: Bars) -> str:
    """The chart in a fixed-width font: one line per bar."""
    if bars.nothing:
        return bars.nothing
    if len(bars.starts) == 1:
        start = bars.starts[0]
        named = [(name or start, bars.sums.get((start, name), Totals())) for name in bars.names]
        parts = [""] * len(named)
    else:
        named, parts = [], []
        # what is before the first sums says nothing, and a terminal has few lines
        with_sums = {start for start, _name in bars.sums}
        first = next((n for n, start in enumerate(bars.starts) if start in with_sums), 0)
        for start in bars.starts[first:]:
            found = {
                name: bars.sums[start, name] for name in bars.names if (start, name) in bars.sums
            }
            named.append((start, sum(found.values(), Totals())))
            parts.append(
                ", ".join(
                    f"{name} {text_of(totals, bars.measure).text}"
                    for name, totals in found.items()
                    if name
                )
            )
    most = max(value_of(totals, bars.measure) for _name, totals in named)
    width = max(width_of(name) for name, _totals in named)
    lines = [bars.title]
    for (name, totals), part in zip(named, parts, strict=True):
        bar = "█" * _bar(value_of(totals, bars.measure), most)
        figure = text_of(totals, bars.measure).text if totals.requests else ""
        lines.append(f"{padded(name, width)}  {bar} {figure}".rstrip() + (part and f"  ({part})"))
    return "\n".join(lines)


def _bar(value: Decimal, most: Decimal) -> int:
    """Letters of a bar; one for the smallest value that is not 0."""
    return 0 if not value else max(1, round(value / most * _TEXT_BAR))


# ------------------------------------------------------------------------------------ as a chart


def chart(bars: Bars) -> dict[str, Any]:
    """The chart as a Vega-Lite 5 specification, with its data inside.

    Raises:
        ImportError: altair is not installed.
    """
    import altair

    single = len(bars.starts) == 1
    marks = _across(altair, bars) if single else _upright(altair, bars)
    spec: dict[str, Any] = (
        marks.properties(
            # not "container", for which JupyterLab 4.6 freezes; the style sheet makes it narrower
            width=_WIDTH,
            background="transparent",
            title=altair.Title(bars.title, anchor="start", fontSize=13, fontWeight=600, offset=12),
            description=_description(bars),
            padding={"left": 4, "top": 8, "right": 12, "bottom": 4},
            usermeta={"embedOptions": _EMBED},
        )
        .configure(font="system-ui, sans-serif")
        .configure_view(stroke=None)
        .configure_title(color=_GREY)
        .configure_axis(
            labelColor=_GREY,
            titleColor=_GREY,
            domainColor=_LINE,
            tickColor=_LINE,
            gridColor=_LINE,
            labelFontSize=11,
        )
        .configure_legend(labelColor=_GREY, titleColor=_GREY, labelFontSize=11)
        .to_dict()
    )
    return {**spec, "$schema": SCHEMA}


def _upright(altair: Any, bars: Bars) -> Any:
    """A bar per period, stacked from groups."""
    highlight = altair.selection_point(name="group", fields=["group"], bind="legend")
    rows = [
        {"start": start, "group": name, "place": bars.names.index(name), **_datum(totals, bars)}
        for (start, name), totals in bars.sums.items()
    ]
    number = "$,.6~f" if bars.measure == "cost" else "~s"
    encoding = {
        "x": altair.X(
            "start:N",
            title=None,
            scale=altair.Scale(domain=list(bars.starts), paddingInner=0.25, paddingOuter=0.15),
            axis=altair.Axis(
                labelExpr=_label(bars),
                labelAngle=0,
                labelOverlap="greedy",
                labelSeparation=8,
                ticks=False,
                labelPadding=6,
            ),
        ),
        "y": altair.Y(
            "value:Q",
            title=None,
            stack="zero",
            axis=altair.Axis(
                # not as `format`, which would write 0 as "0k"
                labelExpr=f"format(datum.value, '{number}')",
                domain=False,
                ticks=False,
                tickCount=5,
                # there is no half request
                tickMinStep=altair.Undefined if bars.measure == "cost" else 1,
            ),
        ),
        "order": altair.Order("place:Q"),
        "tooltip": _tooltip(altair, bars),
    }
    if bars.by == "day":
        return (
            _base(altair, rows)
            .mark_bar(color=_COLOURS[0], cornerRadiusEnd=2)
            .encode(**encoding)
            .properties(height=220)
        )
    legend = altair.Legend(
        title=None,
        orient="bottom",
        direction="horizontal",
        columns=3,
        labelLimit=190,
        symbolType="square",
        offset=14,
    )
    return (
        _base(altair, rows)
        .mark_bar()
        .encode(
            color=altair.Color("group:N", legend=legend, scale=_scale(altair, bars)),
            opacity=altair.condition(highlight, altair.value(1), altair.value(0.15)),
            **encoding,
        )
        .add_params(highlight)
        .properties(height=220)
    )


def _across(altair: Any, bars: Bars) -> Any:
    """A bar per group, with its figure at the end."""
    (start,) = bars.starts
    rows = []
    for name in bars.names:
        totals = bars.sums.get((start, name), Totals())
        datum = _datum(totals, bars)
        label = text_of(totals, bars.measure).text
        rows.append({"start": start, "group": name or start, "label": label, **datum})
    most = max(row["value"] for row in rows)
    base = _base(altair, rows).encode(
        x=altair.X(
            "value:Q",
            axis=None,
            # room for the figures
            scale=altair.Scale(domain=[0, most * 1.2 or 1]),
        ),
        y=altair.Y(
            "group:N",
            title=None,
            sort=None,
            axis=altair.Axis(domain=False, ticks=False, labelLimit=170, labelPadding=8),
        ),
        tooltip=_tooltip(altair, bars),
    )
    colour = altair.Color("group:N", legend=None, scale=_scale(altair, bars, start))
    return altair.layer(
        base.mark_bar(cornerRadiusEnd=2).encode(color=colour),
        base.mark_text(align="left", dx=6, color=_GREY, fontSize=11).encode(text="label:N"),
    ).properties(height=altair.Step(26))


def _base(altair: Any, rows: list[dict[str, Any]]) -> Any:
    return altair.Chart(altair.InlineData(values=rows))


def _scale(altair: Any, bars: Bars, unnamed: str = "") -> Any:
    return altair.Scale(
        domain=[name or unnamed for name in bars.names],
        range=list(bars.colours),
    )


def _datum(totals: Totals, bars: Bars) -> dict[str, Any]:
    return {
        "value": float(value_of(totals, bars.measure)),
        "cost": cost_of(totals).text,
        "tokens": _tokens(totals),
        "requests": totals.requests,
    }


def _tooltip(altair: Any, bars: Bars) -> list[Any]:
    shown = [altair.Tooltip("start:N", title=bars.period.capitalize())]
    if bars.by != "day":
        shown.append(altair.Tooltip("group:N", title=bars.by.capitalize()))
    return [
        *shown,
        altair.Tooltip("cost:N", title="Cost"),
        altair.Tooltip("tokens:N", title="Tokens"),
        altair.Tooltip("requests:Q", title="Requests", format=","),
    ]


def _label(bars: Bars) -> str:
    """How a period is written below its bar. In UTC, because a bare date is read as one."""
    short = bars.period == "day" and len(bars.starts) <= 10
    form = "%b %Y" if bars.period == "month" else "%a %-d" if short else "%b %-d"
    return f"utcFormat(toDate(datum.value), '{form}')"


def _description(bars: Bars) -> str:
    """What a screen reader says instead of the picture."""
    groups = "" if bars.by == "day" else f", by {bars.by}: {', '.join(bars.names)}"
    return f"MiniMax usage as a bar chart. {bars.title}, {bars.starts[0]} to {bars.starts[-1]}{groups}."


def bundle(bars: Bars, *, page: bool) -> dict[str, Any]:
    """The chart for a display, in all forms; to be shown with `METADATA`.

    Args:
        page: Add a web page that loads the renderer from the net, for Colab, which has none. Others
            would prefer it to their own.

    Raises:
        ImportError: altair is not installed.
    """
    spec = chart(bars)
    forms: dict[str, Any] = {VEGALITE: spec, "text/plain": bars_text(bars)}
    if page:
        forms["text/html"] = _page(spec)
    return forms


def _page(spec: dict[str, Any]) -> str:
    from altair.utils.html import spec_to_html

    made: str = spec_to_html(
        spec,
        mode="vega-lite",
        vega_version="5",
        vegaembed_version="6",
        vegalite_version="5",
        fullhtml=False,
        embed_options=dict(_EMBED),
        template="universal",
    )
    return made
