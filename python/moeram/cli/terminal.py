"""What commands share on the terminal: where tables go, a progress bar, and the end of a run's report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from moeram import experiment, report
from moeram.metrics import Table

Update = Callable[[int, int, str], None]
_WIDTH_OF_A_FILE = 120


def output() -> Console:
    """Return the console for results; tables in a file or pipe have a fixed width."""
    console = Console()
    return console if console.is_terminal else Console(width=_WIDTH_OF_A_FILE)


def show_table(console: Console, table: Table, title: str, *, keep: int = 1, rest: str = "in the files") -> None:
    """Print the columns of a table that fit the console, at least `keep`, and say how many others there are and where."""
    shown, hidden = report.fitting_table(table, title, width=console.width, keep=keep)
    console.print(shown)
    if hidden:
        console.print(f"{len(hidden)} more columns: {rest}", highlight=False, soft_wrap=True)


@contextmanager
def progress_bar(name: str, unit: str = "", *, quiet: bool = False, by_hand: bool = False) -> Iterator[Update]:
    """Show a bar on stderr, on a terminal only, while the body runs.

    Args:
        unit: what is counted. by_hand: drawn with each update, where the work keeps the thread of the bar from running.

    Yields:
        update(done, total, label).
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=quiet or not console.is_terminal, transient=True) as bar:
        task = bar.add_task(name)

        def update(done: int, total: int, label: str) -> None:
            bar.update(task, completed=done, total=total, description=label)
            if by_hand:
                bar.refresh()

        yield update


def show_end(console: Console, result: experiment.Record | experiment.ServingResult, folder: Path) -> None:
    """Print the labels and notes of a result and where it lies."""
    console.print(f"fidelity: times {result.fidelity}, routing {result.routing_fidelity}", highlight=False)
    for note in result.notes:
        console.print(f"note: {note}", highlight=False, markup=False)
    console.print(f"results: {folder}", highlight=False, markup=False, soft_wrap=True)
