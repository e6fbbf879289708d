"""Panels and dashboards as Grafana's JSON, from as little as has to be said about each."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal

from msgspec import Struct

SCHEMA_VERSION: Final = 38
"""Of Grafana 10; later ones migrate it when they read it."""

WIDTH: Final = 24
"""Columns of Grafana's grid."""

DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

UP_DOWN: Final = {"0": ("down", "red"), "1": ("up", "green")}
YES_NO: Final = {"0": ("no", "orange"), "1": ("yes", "green")}
HEALTH: Final = {"0": ("unhealthy", "red"), "1": ("degraded", "orange"), "2": ("healthy", "green")}

Bounds = tuple[tuple[float, str], ...]

RED_ABOVE_NONE: Final[Bounds] = ((1, "red"),)
ORANGE_ABOVE_NONE: Final[Bounds] = ((1, "orange"),)

LE: Final = "{{le}}"
"""Of a heatmap, which has room for one distribution."""

_NAME: Final = re.compile(r"(data_collector_\w+)(\{)?")

Json = dict[str, object]


class Choice(Struct, frozen=True):
    """What a reader narrows a dashboard down by."""

    label: str
    title: str
    of: str
    """The metric that has it in any case."""


CHOICES: Final = (
    Choice("instance", "Collector", "data_collector_health"),
    Choice("exchange", "Exchange", "data_collector_exchange_info"),
)


class Query(Struct, frozen=True):
    """One line, or one figure."""

    expr: str
    """PromQL; the collector's metrics are narrowed down to what is chosen when it is written."""
    legend: str = "{{instance}}"

    @property
    def narrowed(self) -> str:
        """As Grafana gets it: of what is chosen, and with a sum for each exchange."""
        # What has no such label is of all exchanges.
        chosen = 'instance=~"$instance", exchange=~"$exchange|"'
        expr = _NAME.sub(lambda name: f"{name[1]}{{{chosen}" + (", " if name[2] else "}"), self.expr)
        return expr.replace("by (", "by (exchange, ") if self._is_by_exchange else expr

    @property
    def told(self) -> str:
        """The legend that Grafana gets; the label is empty where one exchange is collected."""
        return f"{self.legend} {{{{exchange}}}}" if self._is_by_exchange else self.legend

    @property
    def _is_by_exchange(self) -> bool:
        return self.legend != LE and "data_collector_" in self.expr


class Panel(Struct, frozen=True):
    """What one rectangle shows."""

    title: str
    queries: tuple[Query, ...]
    help: str
    """What it means, and what is wrong about which value."""
    kind: Literal["timeseries", "stat", "heatmap"] = "timeseries"
    unit: str = "short"
    width: int = 8
    height: int = 8
    bounds: Bounds = ()
    """From which value on which colour; green below the first."""
    names: dict[str, tuple[str, str]] = {}
    """What values are called, and their colours."""


class Dashboard(Struct, frozen=True):
    """One page, which is one file."""

    name: str
    """Of the file, and at the end of its address."""
    title: str
    panels: tuple[Panel, ...]


def rate(metric: str, by: str) -> Query:
    """Per second, by one label."""
    return Query(f"sum by ({by}) (rate({metric}[$__rate_interval]))", f"{{{{{by}}}}}")


def quantiles(histogram: str) -> tuple[Query, ...]:
    """The median, and what one in a hundred exceeds."""
    by_bound = f"sum by (le) (rate({histogram}_bucket[$__rate_interval]))"
    return (
        Query(f"histogram_quantile(0.5, {by_bound})", "median"),
        Query(f"histogram_quantile(0.99, {by_bound})", "99 %"),
    )


def figure(
    title: str, expr: str, help: str, *, unit: str = "short", bounds: Bounds = (),  # noqa: A002 - the field's name
    names: Mapping[str, tuple[str, str]] | None = None,
) -> Panel:  # fmt: skip
    """One number, large."""
    return Panel(
        title, (Query(expr),), help, kind="stat", unit=unit, width=4, height=4, bounds=bounds, names=dict(names or {})
    )


def dashboard_json(dashboard: Dashboard) -> Json:
    """The file's content."""
    return {
        "uid": f"data-collector-{dashboard.name}",
        "title": f"Data Collector: {dashboard.title}",
        "tags": ["data-collector"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "utc",
        "links": [
            {"type": "dashboards", "title": "Data Collector", "tags": ["data-collector"], "asDropdown": False,
             "includeVars": True, "keepTime": True, "icon": "dashboard", "tooltip": "", "targetBlank": False},
        ],
        "templating": {"list": [_datasource_choice(), *map(_choice, CHOICES)]},
        "panels": _laid_out(dashboard.panels),
    }  # fmt: skip


def _datasource_choice() -> Json:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus"}


def _choice(choice: Choice) -> Json:
    query = f"label_values({choice.of}, {choice.label})"
    return {
        "name": choice.label, "label": choice.title, "type": "query", "datasource": DATASOURCE,
        "query": {"query": query, "refId": choice.label}, "refresh": 2, "sort": 1, "multi": True, "includeAll": True,
        "allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }  # fmt: skip


def _laid_out(panels: tuple[Panel, ...]) -> list[Json]:
    """From left to right, in rows as high as their highest panel."""
    placed: list[Json] = []
    x = y = row_height = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > WIDTH:
            x, y, row_height = 0, y + row_height, 0
        place = {"h": panel.height, "w": panel.width, "x": x, "y": y}
        placed.append({"id": number, "gridPos": place, **_panel_json(panel)})
        x, row_height = x + panel.width, max(row_height, panel.height)
    return placed


def _panel_json(panel: Panel) -> Json:
    return {
        "type": panel.kind,
        "title": panel.title,
        "description": panel.help,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
        "targets": [_target(panel, number, query) for number, query in enumerate(panel.queries)],
    }


def _target(panel: Panel, number: int, query: Query) -> Json:
    target: Json = {
        "refId": "ABCDEFGH"[number],
        "datasource": DATASOURCE,
        "expr": query.narrowed,
        "legendFormat": query.told,
    }
    return {**target, "format": "heatmap"} if panel.kind == "heatmap" else target


def _defaults(panel: Panel) -> Json:
    steps: list[Json] = [{"color": "green", "value": None}]
    steps += [{"color": colour, "value": value} for value, colour in panel.bounds]
    defaults: Json = {"unit": panel.unit, "noValue": "none", "thresholds": {"mode": "absolute", "steps": steps}}
    if panel.names:
        options = {
            value: {"text": text, "color": colour, "index": index}
            for index, (value, (text, colour)) in enumerate(panel.names.items())
        }
        defaults["mappings"] = [{"type": "value", "options": options}]
    if panel.kind == "timeseries":
        defaults["custom"] = {"fillOpacity": 10, "lineWidth": 1, "showPoints": "never"}
    return defaults


def _options(panel: Panel) -> Json:
    match panel.kind:
        case "stat":
            return {
                "colorMode": "background", "graphMode": "none", "textMode": "auto", "justifyMode": "auto",
                "orientation": "auto", "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            }  # fmt: skip
        case "heatmap":
            return {
                "calculate": False, "cellGap": 1, "yAxis": {"unit": panel.unit},
                "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64}, "tooltip": {"show": True},
            }  # fmt: skip
        case "timeseries":
            legend: Json = {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]}
            return {"legend": {**legend, "showLegend": True}, "tooltip": {"mode": "multi", "sort": "desc"}}
