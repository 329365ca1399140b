# Copyright (c) 2026, autotune.kernel contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)

"""Charts, drawn once for all who look: for as long as there is nothing new, each is kept as it was sent."""

from __future__ import annotations

import logging
import sys
import threading
from collections import OrderedDict
from dataclasses import replace

from . import charts, plotting
from .feed import Feed
from .table import BadQuery
from .updates import as_json

_LOG = logging.getLogger(__name__)
_KEPT = 128

_Key = tuple[int, str, int | None, int | None]


class UnknownChart(LookupError):
    """There is no chart of that name."""


class ChartCache:
    """The last charts that somebody asked for."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._drawing: dict[_Key, threading.Lock] = {}
        self._texts: OrderedDict[_Key, tuple[int, str]] = OrderedDict()

    def text(self, feed: Feed, name: str, first: int | None, last: int | None) -> str:
        key = (feed.study_id, name, first, last)
        with self._lock:
            drawing = self._drawing.setdefault(key, threading.Lock())
        # Whoever comes while it is being drawn waits for it: a hundred pages ask for the same one at once.
        with drawing:
            version = feed.version
            kept = self._texts.get(key)
            if kept and kept[0] == version:
                return kept[1]
            text = _draw(feed, name, first, last)
            with self._lock:
                self._texts[key] = (version, text)
                self._texts.move_to_end(key)
                while len(self._texts) > _KEPT:
                    self._drawing.pop(self._texts.popitem(last=False)[0], None)
            return text


def chart_json(kept: ChartCache, feed: Feed, name: str, first: int | None = None, last: int | None = None) -> str:
    """{name, figure: {data, layout}, summary, shown, total}. Raises UnknownChart, BadQuery."""
    if name not in charts.CHARTS:
        raise UnknownChart(f"there is no chart {name[:40]!r}; there are {', '.join(charts.CHARTS)}")
    if first is not None and last is not None and first > last:
        raise BadQuery("from must not be above to")
    return kept.text(feed, name, first, last)


def _draw(feed: Feed, name: str, first: int | None, last: int | None) -> str:
    data = feed.data()
    if first is not None or last is not None:
        low, high = first or 0, last if last is not None else sys.maxsize
        data = replace(data, evaluations=[e for e in data.evaluations if low <= e.id <= high])
    try:
        chart = charts.CHARTS[name](data)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        # One chart that cannot be drawn takes neither the others nor the page with it.
        _LOG.exception("chart %s of study %d", name, feed.study_id)
        chart = plotting.nothing("This chart cannot be drawn from what the store holds; the server's log says why.")
    return as_json({"name": name, **vars(chart)})
