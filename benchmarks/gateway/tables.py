"""The figures as tables: CPU per request in ms, and how many times nginx's."""

from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from benchmarks.gateway.loads import FEATURES, MAIN, SIZES, Load

_NGINX, _NOTHING = "nginx", "nothing observed"


def show(found: dict[str, dict[str, dict]]) -> None:
    """Print the tables that were measured."""
    if rows := found.get("main"):
        _print(_main(rows))
    if rows := found.get("sizes"):
        _print(_table("CPU per streamed request in ms by its size, and how many times nginx's", rows, SIZES, _NGINX))
    if rows := found.get("features"):
        _print(_table("Price of a feature: CPU per request in ms", rows, FEATURES, _NOTHING))


def _print(table: Table) -> None:
    Console(width=160).print(table)


def _main(rows: dict[str, dict]) -> Table:
    title = "One process on one core: CPU per request in ms, and how many times nginx's"
    return _table(
        title,
        rows,
        MAIN,
        _NGINX,
        ("streams/s", "requests/s", "p50, p99", "first chunk, ms", "idle, KiB", "start, s"),
        _more,
    )


def _more(row: dict) -> list[str]:
    calm = row.get("calm", {})
    return [
        f"{row['stream']['per_second']:,.0f}",
        f"{row['whole']['per_second']:,.0f}" if "whole" in row else "",
        f"{calm['p50']:.1f}, {calm['p99']:.1f}" if "p99" in calm else "",
        f"{row['first_ms']:+.2f}",
        f"{row['idle_kib']:.0f}" if "idle_kib" in row else "",
        f"{row['start_s']:.2f}",
    ]


def _table(
    title: str,
    rows: dict[str, dict],
    loads: tuple[Load, ...],
    base: str,
    names: tuple[str, ...] = (),
    more: Callable[[dict], list[str]] = lambda _: [],
) -> Table:
    table = Table(title=title)
    table.add_column("")
    for name in (*(load.name for load in loads), *names):
        table.add_column(name, justify="right")
    for name, row in rows.items():
        cells = []
        for load in loads:
            mine = row.get(load.name, {}).get("cpu_ms")
            others = rows.get(base, {}).get(load.name, {}).get("cpu_ms")
            cells.append("" if mine is None else f"{mine:.3g} ({mine / others:.1f}x)" if others else f"{mine:.3g}")
        table.add_row(name, *cells, *more(row))
    return table
