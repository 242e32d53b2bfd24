"""The parts that all dashboards share: variables, links to each other, and default settings."""

from collections.abc import Iterable

from grafana_foundation_sdk.builders.dashboard import Dashboard, DashboardLink, DatasourceVariable, QueryVariable
from grafana_foundation_sdk.builders.dashboard import Row as Heading
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.dashboard import Dashboard as Document
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    Panel,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
)

from deploy.dashboards.names import TAG
from deploy.dashboards.panels import SOURCE

Row = tuple[str, list[Builder[Panel]]]
"""A heading and the panels below it."""

_POD_CHAIN = {"namespace": "", "release": '{namespace=~"$namespace"}', "pool": '{namespace=~"$namespace", release=~"$release"}'}
_IN_POOL = 'namespace=~"$namespace", release=~"$release", pool=~"$pool"'


def page(uid: str, title: str, why: str, rows: Iterable[Row], *, with_tenant: bool = False) -> Document:
    """Build a dashboard. Panel ids are positions, so a link to a panel stays valid as long as no panel moves."""
    board = Dashboard(title).uid(uid).description(why).tags([TAG]).time("now-3h", "now").refresh("30s").timezone("browser")
    board.tooltip(DashboardCursorSync.CROSSHAIR).readonly()
    link = DashboardLink(title="Firstword").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    board.link(link.as_dropdown(False).include_vars(True).keep_time(True))
    for variable in _variables(with_tenant):
        board.with_variable(variable)
    for heading, panels in rows:
        board.with_row(Heading(heading))
        for panel in panels:
            board.with_panel(panel)
    document = board.build()
    for number, placed in enumerate(document.panels or (), start=1):
        placed.id_val = number
    return document


def _variables(with_tenant: bool) -> list[Builder[VariableModel]]:
    """The variables at the top. Each offers only values that exist under the choices before it.

    Labels that the scraper adds are read from `firstword_build_info`, because every pod has it.
    """
    source = DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    variables: list[Builder[VariableModel]] = [source]
    for name, within in _POD_CHAIN.items():
        variables.append(_choice(name, f"label_values(firstword_build_info{within}, {name})"))
    if with_tenant:
        variables.append(_choice("tenant", f"label_values(firstword_turns_total{{{_IN_POOL}}}, tenant)"))
    variables.append(_choice("model", f"label_values(firstword_turns_total{{{_IN_POOL}}}, model)"))
    return variables


def _choice(name: str, query: str) -> QueryVariable:
    """A variable with any number of values. The default, all, also matches series without the label."""
    every = VariableOption(selected=True, text=["All"], value=["$__all"])
    choice = QueryVariable(name).label(name.capitalize()).query(query).datasource(SOURCE)
    choice.multi(True).include_all(True).all_value(".*").current(every)
    return choice.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).sort(VariableSort.ALPHABETICAL_ASC)
