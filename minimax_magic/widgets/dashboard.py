"""The dashboard on the ledger: controls, and below them outputs that are replaced in place.

Only the controls are widgets. Chart and tables are ordinary outputs, so a saved notebook keeps them
without its kernel. Whatever is chosen is read from the ledger afresh.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, get_args

import ipywidgets

from minimax_magic.errors import MinimaxError
from minimax_magic.render import dashboard_tables as tables
from minimax_magic.usage import frames
from minimax_magic.usage.ranges import RANGES, Bounds, local_day, range_of
from minimax_magic.usage.rows import Group, GroupBy, Record, Selection, Totals
from minimax_magic.widgets import usage_charts as charts
from minimax_magic.widgets.usage_charts import Bars, Measure
from minimax_magic.words import system_reason

if TYPE_CHECKING:
    from minimax_magic.usage.ledger import Ledger

_CSS = Path(__file__).parent / "static" / "dashboard.css"
_DEAREST: Final = 10
_MEASURES: Final[tuple[Measure, ...]] = get_args(Measure)
_BY: Final[tuple[GroupBy, ...]] = get_args(GroupBy)
_EMPTY: Final = {
    False: "Nothing is recorded yet. Run a %%minimax cell, then press Refresh.",
    True: "The simulator has answered nothing yet. Run a %%minimax cell, then press Refresh.",
}
_DRAWING: Final = "Drawing the chart ..."
_NOTHING_HERE: Final = "There are no requests in this range."

_log = logging.getLogger(__name__)


class Display(Protocol):
    """One output that can be replaced, as IPython's DisplayHandle."""

    def display(self, obj: Any, **kwargs: Any) -> None: ...

    def update(self, obj: Any, **kwargs: Any) -> None: ...


@dataclass(frozen=True, slots=True)
class Figures:
    """What the ledger says about a selection.

    All sums come from one reading of it, so they fit together while other kernels write; single
    requests are a second reading, which may know of one more.

    Attributes:
        heading: Which days it is about.
        grid: Sums by local day and group.
        dearest: The single requests that cost most.
    """

    heading: str
    selection: Selection
    by: GroupBy
    grid: list[charts.Row]
    groups: list[Group]
    totals: Totals
    dearest: list[Record]

    def bars(self, measure: Measure, colours: dict[str | None, str] | None = None) -> Bars:
        """What its chart shows; there must be something in it.

        Args:
            colours: As of `charts.arranged`.
        """
        since, until = self.selection.since, self.selection.until
        return charts.arranged(
            self.grid,
            self.by,
            measure,
            first=None if since is None else local_day(since),
            last=None if until is None else _last_day(until),
            simulated=bool(self.selection.simulated),
            colours=colours,
        )

    def tables(self) -> list[tables.Table]:
        return [
            tables.groups_table(self.groups, self.by, self.totals),
            tables.dearest_table(self.dearest),
        ]


def read(ledger: Ledger, selection: Selection, by: GroupBy) -> Figures:
    """Reads all that is shown.

    Raises:
        ConfigError: The ledger cannot be read.
    """
    grid = ledger.grid(selection, by)
    sums: dict[str | None, Totals] = {}
    for _day, key, part in grid:
        sums[key] = sums.get(key, Totals()) + part
    groups = [Group(key, totals) for key, totals in sums.items()]
    if by == "day":
        groups.sort(key=lambda group: group.key or "", reverse=True)
    else:
        groups.sort(key=lambda group: (group.totals.cost, group.totals.requests), reverse=True)
    return Figures(
        heading=_heading(selection),
        selection=selection,
        by=by,
        grid=grid,
        groups=groups,
        totals=sum(sums.values(), Totals()),
        dearest=ledger.records(selection, order="dearest", limit=_DEAREST),
    )


def dashboard_text(ledger: Ledger, selection: Selection, by: GroupBy = "day") -> str:
    """The dashboard for terminals: sums, chart and tables as plain text.

    Raises:
        ConfigError: The ledger cannot be read.
    """
    figures = read(ledger, selection, by)
    if not figures.grid:
        return (
            _NOTHING_HERE
            if ledger.models(simulated=selection.simulated)
            else _EMPTY[bool(selection.simulated)].replace(", then press Refresh", "")
        )
    return tables.page_text(
        figures.heading,
        figures.totals,
        charts.bars_text(figures.bars("cost")),
        figures.tables(),
        simulated=bool(selection.simulated),
    )


class Dashboard:
    """Shows itself once; after that the controls redraw what is below them.

    Args:
        ledger: What it is about.
        simulated: Whether of the simulator's requests or of the real ones, never of both.
        now: The present moment, aware.
        new_display: Makes an IPython DisplayHandle.
        csv_dir: Where exports go.
        colab: Whether the front end is Colab, which has no renderer for charts; None: to be told
            from its package.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        simulated: bool,
        now: Callable[[], datetime],
        new_display: Callable[[], Display],
        csv_dir: Path,
        colab: bool | None = None,
    ) -> None:
        self._ledger = ledger
        self._simulated = simulated
        self._now = now
        self._csv_dir = csv_dir
        self._colab = "google.colab" in sys.modules if colab is None else colab
        # newer kernels may handle two messages of one page at the same time
        self._lock = threading.RLock()
        self._quiet = False
        self._colours: dict[GroupBy, dict[str | None, str]] = {}
        self._panel_output, self._notice_output = new_display(), new_display()
        self._chart_output, self._tables_output = new_display(), new_display()

        self._range = _toggle("Range", [(name.capitalize(), name) for name in RANGES], "7 days")
        self._first = ipywidgets.DatePicker(description="From")
        self._last = ipywidgets.DatePicker(description="To")
        self._dates = _box(ipywidgets.HBox, [self._first, self._last], "mm-dash-dates")
        self._by = _toggle("Group by", [(by.capitalize(), by) for by in _BY], "model")
        self._measure = _toggle("Show", [(m.capitalize(), m) for m in _MEASURES], "cost")
        self._all = _checkbox("All models", value=True)
        self._models: dict[str, Any] = {}
        self._chips = _box(ipywidgets.HBox, [self._all], "mm-dash-chips")
        models = [ipywidgets.Label("Models"), self._chips]
        self._filter = _box(ipywidgets.HBox, models, "mm-dash-models")
        self._refresh = _button("Refresh", "Read the ledger again")
        self._export = _button("Export CSV", "Save the requests of this range as a CSV file")
        self.panel = _box(
            ipywidgets.VBox,
            [
                _style(),
                self._range,
                self._dates,
                self._by,
                self._measure,
                self._filter,
                _box(ipywidgets.HBox, [self._refresh, self._export], "mm-dash-buttons"),
            ],
            "mm-dash",
        )
        self._show_dates()

        self._range.observe(self._range_changed, "value")
        for control in (self._first, self._last, self._by, self._measure):
            control.observe(self._changed, "value")
        self._all.observe(self._all_changed, "value")
        self._refresh.on_click(lambda _button: self._changed())
        self._export.on_click(lambda _button: self._do(self._save))

    def show(self) -> None:
        """Displays controls, chart and tables in the present output.

        Raises:
            ConfigError: The ledger cannot be read.
        """
        with self._lock, self._unheard():
            self._offer_models()
            figures = self._read()
            self._panel_output.display(self.panel)
            self._notice_output.display(_news(""), raw=True)
            # the first chart takes seconds: the library that draws it is imported only now
            self._chart_output.display(_message(_DRAWING), raw=True, metadata=charts.METADATA)
            self._tables_output.display(self._tables(figures), raw=True)
            self._chart_output.update(self._chart(figures), raw=True, metadata=charts.METADATA)

    # ------------------------------------------------------------------------ what was chosen

    @property
    def _bounds(self) -> Bounds:
        return range_of(
            self._range.value, self._now(), first=self._first.value, last=self._last.value
        )

    @property
    def _selection(self) -> Selection:
        since, until = self._bounds
        ticked = tuple(model for model, box in self._models.items() if box.value)
        return Selection(since, until, models=ticked or None, simulated=self._simulated)

    def _read(self) -> Figures:
        return read(self._ledger, self._selection, self._by.value)

    # ---------------------------------------------------------------------- what was pressed

    def _changed(self, _change: object = None) -> None:
        self._do(self._redraw)

    def _range_changed(self, change: Any) -> None:
        if not self._quiet and change["new"] == "custom":
            with self._unheard():
                self._begin_custom(change["old"])
        self._show_dates()
        self._changed()

    def _begin_custom(self, before: str) -> None:
        """Puts the days of the range before into the date fields, so that nothing jumps."""
        since, until = range_of(before, self._now())
        self._first.value = None if since is None else local_day(since)
        self._last.value = None if until is None else _last_day(until)

    def _model_changed(self, _change: object) -> None:
        if self._quiet:
            return
        with self._unheard():
            self._all.value = not any(box.value for box in self._models.values())
        self._changed()

    def _all_changed(self, change: Any) -> None:
        if self._quiet:
            return
        ticked = [box for box in self._models.values() if box.value]
        with self._unheard():
            for box in ticked:
                box.value = False
            # with nothing ticked at all there would be nothing to see
            self._all.value = True
        if ticked:
            self._changed()

    def _do(self, what: Callable[[], str]) -> None:
        """Does what was asked for, and shows the news, or why it failed: no cell would."""
        if self._quiet:
            return
        with self._lock:
            try:
                news = what()
            except MinimaxError as error:
                news = tables.message_html(str(error), bad=True)
            except Exception as error:
                _log.exception("The dashboard failed")
                reason = f"The dashboard failed: {type(error).__name__}: {error}"
                news = tables.message_html(reason, bad=True)
            self._notice_output.update(_news(news), raw=True)

    @contextmanager
    def _unheard(self) -> Iterator[None]:
        """Changes of controls in here are ours and redraw nothing."""
        before, self._quiet = self._quiet, True
        try:
            yield
        finally:
            self._quiet = before

    # ------------------------------------------------------------------------- what is shown

    def _redraw(self) -> str:
        with self._unheard():
            self._offer_models()
        figures = self._read()
        self._chart_output.update(self._chart(figures), raw=True, metadata=charts.METADATA)
        self._tables_output.update(self._tables(figures), raw=True)
        return ""

    def _chart(self, figures: Figures) -> dict[str, Any]:
        if not figures.grid:
            known = bool(self._models)
            return _message(_NOTHING_HERE if known else _EMPTY[self._simulated])
        bars = figures.bars(self._measure.value, self._colours.setdefault(figures.by, {}))
        if bars.nothing:
            return _message(bars.nothing)
        try:
            return charts.bundle(bars, page=self._colab)
        except ImportError:
            return _message(charts.MISSING, charts.bars_text(bars))

    def _tables(self, figures: Figures) -> dict[str, Any]:
        if not figures.grid:
            return {"text/html": "", "text/plain": ""}
        bars = figures.bars(self._measure.value)
        shown = figures.tables()
        return {
            "text/html": tables.page(
                figures.heading,
                figures.totals,
                [
                    *(tables.table_html(table) for table in shown),
                    tables.table_html(charts.bars_table(bars), folded=True),
                ],
                simulated=self._simulated,
            ),
            "text/plain": tables.page_text(
                figures.heading, figures.totals, "", shown, simulated=self._simulated
            ),
        }

    def _offer_models(self) -> None:
        """One box per model that was ever used; what is ticked stays so."""
        models = self._ledger.models(simulated=self._simulated)
        if models != list(self._models):
            known = self._models
            self._models = {model: known.get(model) or self._box_of(model) for model in models}
            self._chips.children = [self._all, *self._models.values()]
        _visible(self._filter, len(models) > 1)

    def _box_of(self, model: str) -> Any:
        box = _checkbox(model, value=False)
        box.observe(self._model_changed, "value")
        return box

    def _show_dates(self) -> None:
        _visible(self._dates, self._range.value == "custom")

    # ------------------------------------------------------------------------------ exporting

    def _save(self) -> str:
        selection = self._selection
        rows = frames.records(self._ledger, selection)
        if not rows:
            return tables.message_html("There are no requests in this range to export.")
        since, until = selection.since, selection.until
        first = local_day(since or rows[0]["started_at"])
        last = _last_day(until) if until else local_day(rows[-1]["started_at"])
        simulated = "simulated-" if self._simulated else ""
        try:
            path = _write_new(self._csv_dir, f"minimax-usage-{simulated}{first}-{last}", rows)
        except OSError as error:
            return tables.message_html(
                f"No file could be written in {self._csv_dir}: {system_reason(error)}.", bad=True
            )
        return tables.message_html(
            f"Saved {_saved(rows)} to", file=path.name, link=_link(path), place=str(path.parent)
        )


def _write_new(folder: Path, stem: str, rows: Sequence[dict[str, Any]]) -> Path:
    """Writes a CSV file of that name, or of one with a number if there is one already."""
    for number in count(1):
        path = folder / (f"{stem}.csv" if number == 1 else f"{stem}-{number}.csv")
        try:
            # with a byte order mark, or spreadsheets take Chinese names for something else
            file = path.open("x", newline="", encoding="utf-8-sig")
        except FileExistsError:
            continue
        try:
            with file:
                frames.to_csv(rows, file)
        except BaseException:
            path.unlink(missing_ok=True)  # half of it would look like all of it
            raise
        return path
    raise AssertionError


def _saved(rows: Sequence[dict[str, Any]]) -> str:
    """`12 requests`, `12 requests and 3 replayed answers`."""
    replays = sum(row["replayed"] for row in rows)
    counted = ((len(rows) - replays, "request"), (replays, "replayed answer"))
    return " and ".join(f"{n:,} {what}{'' if n == 1 else 's'}" for n, what in counted if n)


def _link(path: Path) -> str:
    """How the page finds a file: from the notebook's folder, which is where the kernel works.

    Empty if it is elsewhere: front ends serve nothing outside.
    """
    relative = Path(os.path.relpath(path))
    return "" if ".." in relative.parts else relative.as_posix()


def _heading(selection: Selection) -> str:
    first = None if selection.since is None else str(local_day(selection.since))
    last = None if selection.until is None else str(_last_day(selection.until))
    match first, last:
        case None, None:
            days = "All time"
        case _, None:
            days = f"Since {first}"
        case None, _:
            days = f"Until {last}"
        case _:
            days = f"{first}" if first == last else f"{first} to {last}"
    return days if selection.models is None else f"{days}, only {', '.join(selection.models)}"


def _last_day(until: datetime) -> date:
    """The last day with a moment before this one."""
    return local_day(until - timedelta(microseconds=1))


def _news(html: str) -> dict[str, str]:
    return {"text/html": html, "text/plain": ""}


def _message(text: str, plain: str = "") -> dict[str, Any]:
    return {
        "text/html": tables.message_html(text),
        "text/plain": "\n\n".join(filter(None, (text, plain))),
    }


# ------------------------------------------------------------------------------------- widgets


def _style() -> Any:
    sheet = ipywidgets.HTML(f"<style>{_CSS.read_text(encoding='utf-8')}</style>")
    sheet.layout.display = "none"
    return sheet


def _toggle(name: str, options: list[tuple[str, str]], value: str) -> Any:
    toggle = ipywidgets.ToggleButtons(description=name, options=options, value=value)
    toggle.add_class("mm-dash-toggle")
    return toggle


def _checkbox(name: str, *, value: bool) -> Any:
    box = ipywidgets.Checkbox(description=name, value=value, indent=False, tooltip=name)
    box.add_class("mm-dash-chip")
    return box


def _button(name: str, tooltip: str) -> Any:
    button = ipywidgets.Button(description=name, tooltip=tooltip)
    button.add_class("mm-dash-button")
    return button


def _box(kind: Any, children: list[Any], css_class: str) -> Any:
    box = kind(children)
    box.add_class(css_class)
    return box


def _visible(widget: Any, visible: bool) -> None:
    widget.layout.display = None if visible else "none"
