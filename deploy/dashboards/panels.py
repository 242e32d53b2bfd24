"""The kinds of panel, on the SDK's builders. Each has a unit, and a description that says what to do if the value is bad."""

from collections.abc import Mapping
from dataclasses import dataclass
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders import common, dashboard, heatmap, prometheus, stat, statetimeline, table, timeseries
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import heatmap as heatmap_models
from grafana_foundation_sdk.models.dashboard import (
    DashboardSpecialValueMapOptions,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    SpecialValueMap,
    SpecialValueMatch,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from deploy.dashboards import promql

SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
P = TypeVar("P", timeseries.Panel, stat.Panel, heatmap.Panel, table.Panel, statetimeline.Panel)

GOOD, WARN, BAD, CALM = "green", "orange", "red", "blue"
NO_DATA = "no data"


@dataclass(frozen=True)
class Query:
    expr: str
    legend: str
    is_instant: bool = False
    """Query only the newest value, for a table or a long window."""


def percentiles(histogram: str, labels: str, *by: str, shares: tuple[float, ...] = (0.5, 0.95, 0.99)) -> list[Query]:
    """One query for each percentile, grouped by the labels."""
    of = "".join(f" {{{{{label}}}}}" for label in by)
    return [Query(promql.quantile(share, histogram, labels, *by), f"p{share * 100:g}{of}") for share in shares]


def chart(
    title: str,
    unit: str,
    why: str,
    *queries: Query,
    width: int = 8,
    colors: Mapping[str, str] | None = None,
    limit: str | None = None,
    lines: Mapping[float | None, str] | None = None,
    stacked: bool = False,
) -> timeseries.Panel:
    """Values over time.

    `limit` is a pattern of legends that are drawn dashed and red. `lines` adds dashed lines at fixed values, with their colors.
    """
    panel = _common(timeseries.Panel(), title, unit, why, *queries, width=width)
    legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST)
    panel.legend(legend.placement(common_models.LegendPlacement.BOTTOM).show_legend(True))
    panel.tooltip(common.VizTooltipOptions().mode(common_models.TooltipDisplayMode.MULTI))
    panel.color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
    panel.line_width(1).fill_opacity(60 if stacked else 8).axis_soft_min(0).show_points(common_models.VisibilityMode.NEVER)
    if stacked:
        panel.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL).group("A"))
    for name, color in (colors or {}).items():
        panel.override_by_name(name, [_fixed(color)])
    if limit:
        dashed = DynamicConfigValue("custom.lineStyle", {"fill": "dash", "dash": [8, 6]})
        plain = [DynamicConfigValue("custom.fillOpacity", 0), DynamicConfigValue("custom.stacking", {"mode": "none"})]
        panel.override_by_regexp(f"/{limit}/", [_fixed(BAD), dashed, *plain])
    if lines:
        panel.thresholds(_steps({None: "transparent", **lines}))
        style = common_models.GraphTresholdsStyleMode.DASHED
        panel.thresholds_style(common.GraphThresholdsStyleConfig().mode(style))
    return panel


def number(
    title: str, unit: str, why: str, *queries: Query, width: int = 4, steps: Mapping[float | None, str] | None = None
) -> stat.Panel:
    """The newest values in large type. `steps` maps values to the color from there on. None is the color below all of them."""
    panel = _common(stat.Panel(), title, unit, why, *queries, width=width, height=4)
    panel.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
    many = len(queries) > 1
    panel.text_mode(common_models.BigValueTextMode.VALUE_AND_NAME if many else common_models.BigValueTextMode.VALUE)
    panel.graph_mode(common_models.BigValueGraphMode.AREA).color_mode(common_models.BigValueColorMode.VALUE)
    panel.thresholds(_steps(steps or {None: CALM})).no_value(NO_DATA)
    # 0 / 0 gives NaN.
    nan = DashboardSpecialValueMapOptions(SpecialValueMatch.NA_N, ValueMappingResult(text=NO_DATA))
    return panel.mappings([SpecialValueMap(nan)])


def density(title: str, unit: str, why: str, query: Query, *, width: int = 24) -> heatmap.Panel:
    """A heatmap: the distribution of a histogram over its buckets, over time."""
    panel = _common(heatmap.Panel(), title, unit, why, query, width=width, query_format=PromQueryFormat.HEATMAP)
    panel.calculate(False).y_axis(heatmap.YAxisConfig().unit(unit)).show_legend().show_tooltip()
    scheme = heatmap.HeatmapColorOptions().mode(heatmap_models.HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
    return panel.color(scheme.exponent(0.5).fill("dark-orange")).cell_gap(1)


def states(title: str, why: str, query: Query, texts: Mapping[int, tuple[str, str]], *, width: int = 12) -> statetimeline.Panel:
    """A state timeline: one band for each series. `texts` gives each value its name and color."""
    panel = _common(statetimeline.Panel(), title, "none", why, query, width=width)
    results = {str(value): ValueMappingResult(text=text, color=color) for value, (text, color) in texts.items()}
    panel.mappings([ValueMap(results)]).merge_values(True).show_value(common_models.VisibilityMode.AUTO)
    return panel.row_height(0.8).fill_opacity(70).line_width(0)


def listing(
    title: str, unit: str, why: str, query: Query, *, columns: tuple[str, ...], value: str, width: int = 24
) -> table.Panel:
    """A table with one row for each series: its labels in the order of `columns`, then its value in the column `value`."""
    panel = _common(table.Panel(), title, unit, why, query, width=width, height=7, query_format=PromQueryFormat.TABLE)
    order = {name: place for place, name in enumerate((*columns, "Value"))}
    options = {"excludeByName": {"Time": True}, "indexByName": order, "renameByName": {"Value": value}}
    return panel.with_transformation(DataTransformerConfig(id_val="organize", options=options)).show_header(True)


def _common(
    panel: P,
    title: str,
    unit: str,
    why: str,
    *queries: Query,
    width: int,
    height: int = 8,
    query_format: PromQueryFormat = PromQueryFormat.TIME_SERIES,
) -> P:
    panel.title(title).description(why).unit(unit).datasource(SOURCE).span(width).height(height)
    for at, query in enumerate(queries):
        target = prometheus.Dataquery().expr(query.expr).legend_format(query.legend).datasource(SOURCE)
        target.ref_id(ascii_uppercase[at])
        panel.with_target((target.instant() if query.is_instant else target.range()).format(query_format))
    return panel


def _fixed(color: str) -> DynamicConfigValue:
    return DynamicConfigValue("color", {"mode": FieldColorModeId.FIXED, "fixedColor": color})


def _steps(colors: Mapping[float | None, str]) -> dashboard.ThresholdsConfig:
    steps = [Threshold(value, color) for value, color in colors.items()]
    return dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
