"""`moeram topics`: options in, messages and tables out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from moeram.cli.terminal import output
from moeram.files import check_target
from moeram.model import load_model
from moeram.routing import open_routing
from moeram.routing.topics import (
    WINDOW_WORDS,
    Evaluation,
    TrainingOptions,
    evaluate,
    load_classifier,
    read_text,
    read_texts,
    split_windows,
    train,
    usage_tables,
)

app = typer.Typer(no_args_is_help=True, help="Topic prediction: train on your text, evaluate, predict.")

Folder = Annotated[Path, typer.Argument(help="A folder with one .txt file, or one folder of them, per topic.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
WindowWords = Annotated[int, typer.Option("--window-words", help="Words of a window.")]
HeldOut = Annotated[float, typer.Option("--held-out", help="Last share of each topic's words, kept for testing.")]


@app.command("train")
def train_command(
    folder: Folder,
    output: Annotated[Path, typer.Option("-o", "--output", help="File for the classifier (.npz).")],
    window_words: WindowWords = WINDOW_WORDS,
    held_out: HeldOut = 0.3,
    as_json: Json = False,
) -> None:
    """Train the default classifier on the first words of each topic and test it on the last."""
    check_target(output)
    options = TrainingOptions(window_words=window_words, held_out=held_out)
    windows, test = split_windows(read_texts(folder), size=window_words, held_out=held_out)
    classifier = train(windows, options)
    classifier.save(output)
    _show(evaluate(classifier, test), as_json)


@app.command("evaluate")
def evaluate_command(
    classifier: Annotated[Path, typer.Argument(help="A trained classifier.")],
    folder: Folder,
    window_words: WindowWords = WINDOW_WORDS,
    held_out: HeldOut = 0.3,
    as_json: Json = False,
) -> None:
    """Accuracy, confusion and base rate on the last words of each topic; with --json, input of an experiment."""
    _, test = split_windows(read_texts(folder), size=window_words, held_out=held_out)
    _show(evaluate(load_classifier(classifier), test), as_json)


@app.command("predict")
def predict_command(
    classifier: Annotated[Path, typer.Argument(help="A trained classifier.")],
    files: Annotated[list[Path], typer.Argument(help="Text files.")],
    as_json: Json = False,
) -> None:
    """Predict the topic of text files."""
    known = load_classifier(classifier)
    scores = known.scores([read_text(file) for file in files])
    found = {str(file): known.topics[row.argmax()] for file, row in zip(files, scores, strict=True)}
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        for file, topic in found.items():
            typer.echo(f"{topic}\t{file}")


@app.command("usage")
def usage_command(
    path: Annotated[Path, typer.Argument(help="Recorded routing.")],
    model: Annotated[str, typer.Option("--model", help="A shipped model or a YAML file.")],
    format: Annotated[str, typer.Option("--format", help="Format of the routing.")] = "auto",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of what the format leaves open.")] = 0,
) -> None:
    """Print the usage table of each topic and layer as JSON: {topics, layers, share [topic][layer][expert]}."""
    source = open_routing(path, load_model(model), format=format, seed=seed)
    table = {"topics": source.topics, "layers": source.layers, "share": usage_tables(source).tolist()}
    typer.echo(json.dumps(table))


def _show(found: Evaluation, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found.plain(), indent=2))
        return
    console = output()
    count = int(found.confusion.sum())
    console.print(f"accuracy {found.accuracy:.1%} of {count} windows, base rate {found.base_rate:.1%}", highlight=False)
    table = Table(title="windows by true topic (rows) and predicted topic (columns)")
    for name in ("", *found.topics):
        table.add_column(name, justify="right")
    for topic, row in zip(found.topics, found.confusion, strict=True):
        table.add_row(topic, *map(str, row))
    console.print(table)
