"""The commands and their options, as Typer reads them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from gpugrad.cli.devices import devices
from gpugrad.cli.doctor import doctor
from gpugrad.cli.profile import profile
from gpugrad.errors import OptionError
from gpugrad.train.settings import DATA, DEFAULTS, DTYPES, OPTIMIZERS, SCHEDULES, Settings

INTERRUPTED = 130
WHERE = "cpu, cuda, cuda:1 or auto; default: the run's own"

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Train multilayer perceptrons, and use them.",
)


def run(arguments: list[str]) -> int:
    """Run one command line, and return its exit status; an impossible option takes one line."""
    command = typer.main.get_command(app)
    try:
        # Not command.main(), which takes Ctrl-C for itself and says nothing.
        with command.make_context("gpugrad", arguments) as context:
            status = command.invoke(context)
    except typer.Exit as end:
        return int(end.exit_code)
    except Exception as error:
        # Typer's own complaints, under whatever module name its parser has in this version.
        if not hasattr(error, "format_message"):
            raise
        raise OptionError(f"{error.format_message().rstrip('.')}\n  help: gpugrad --help") from None
    return int(status or 0)


def _defaults(name: str, *, all_data: tuple[str, ...] = DATA) -> str:
    """How the help shows a default that differs by data set."""
    values: dict[str, list[str]] = {}
    for data in all_data:
        value = DEFAULTS[data][name]
        text = ",".join(map(str, value)) if isinstance(value, tuple) else f"{value}"
        values.setdefault(text, []).append(data)
    if len(values) == 1:
        return f"default {next(iter(values))}"
    return "default " + "; ".join(f"{'/'.join(data)} {text}" for text, data in values.items())


def _option(help_: str, name: str = "", **more: Any) -> Any:
    return typer.Option(help=f"{help_}; {_defaults(name)}" if name else help_, **more)


@app.command()
def train(
    data: Annotated[str | None, _option(f"{', '.join(DATA)}; default digits")] = None,
    file: Annotated[Path | None, _option("the table, of csv")] = None,
    target: Annotated[str | None, _option("the column to predict, of csv")] = None,
    task: Annotated[
        str | None, _option("classification or regression, of csv; default by the target")
    ] = None,
    missing: Annotated[
        str | None, _option("error or impute: missing values, of csv; default error")
    ] = None,
    categorical: Annotated[
        list[str] | None, _option("a column of categories, of csv; may be repeated")
    ] = None,
    drop: Annotated[list[str] | None, _option("a column to leave out, of csv; repeatable")] = None,
    root: Annotated[
        Path | None, _option("the folder of the files, of mnist; default: download them")
    ] = None,
    hidden: Annotated[
        str | None, _option("sizes of the hidden layers, such as 128,64, or none", "hidden")
    ] = None,
    activation: Annotated[str | None, _option("relu, tanh, gelu, silu, ...", "activation")] = None,
    dropout: Annotated[float | None, _option("share of units dropped", "dropout")] = None,
    optimizer: Annotated[str | None, _option(", ".join(OPTIMIZERS), "optimizer")] = None,
    lr: Annotated[float | None, _option("learning rate", "lr")] = None,
    schedule: Annotated[str | None, _option(", ".join(SCHEDULES), "schedule")] = None,
    weight_decay: Annotated[float | None, _option("weight decay", "weight_decay")] = None,
    batch_size: Annotated[int | None, _option("examples in a batch", "batch_size")] = None,
    epochs: Annotated[int | None, _option("passes over the data", "epochs")] = None,
    patience: Annotated[
        int | None,
        _option("stop after so many epochs without a better validation; 0 never", "patience"),
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment",
            help="move images by up to one pixel; default for digits and mnist",
        ),
    ] = None,
    device: Annotated[
        str | None, _option("cpu, cuda, cuda:1 or auto (a GPU if there is one); default auto")
    ] = None,
    dtype: Annotated[str | None, _option(f"{' or '.join(DTYPES)}; default float32")] = None,
    seed: Annotated[int | None, _option("of everything random; default 0")] = None,
    out: Annotated[Path | None, _option("a new folder; default runs/<data>-<time>")] = None,
    tensorboard: Annotated[
        bool | None, typer.Option("--tensorboard", help="write for TensorBoard too")
    ] = None,
    resume: Annotated[
        Path | None,
        _option("go on with this run; only more --epochs and another --device may stand beside it"),
    ] = None,
) -> int:
    """Train a network on a data set, and judge it on data it has not seen."""
    given = {name: value for name, value in locals().items() if value not in (None, [])}
    from gpugrad.train import experiment

    if resume is not None:
        others = sorted(set(given) - {"resume", "epochs", "device"})
        if others:
            names = ", ".join(f"--{name.replace('_', '-')}" for name in others)
            raise OptionError(
                f"--resume takes every setting from the run, so {names} cannot stand beside it"
            )
        outcome = experiment.resume(resume, epochs, device)
    else:
        given.pop("out", None), given.pop("tensorboard", None)
        if hidden is not None:
            given["hidden"] = _sizes(hidden)
        for name in ("file", "root"):
            if name in given:  # as it will be found from anywhere
                given[name] = str(given[name].resolve())
        settings = Settings.of(**given)
        outcome = experiment.start(settings, out, tensorboard=bool(tensorboard))
    if not outcome.result:
        return INTERRUPTED
    print(outcome.line)
    return 0


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="the folder of a run")],
    device: Annotated[str | None, _option(WHERE)] = None,
) -> None:
    """Judge a run's model once more on its held-out data."""
    from gpugrad.train.experiment import evaluate_run
    from gpugrad.train.told import result_line

    print(result_line(evaluate_run(run, device)))


@app.command()
def predict(
    run: Annotated[Path, typer.Argument(help="the folder of a run")],
    file: Annotated[Path, typer.Argument(help="a table with the columns that it was trained on")],
    out: Annotated[Path | None, _option("where to write the table; default: print it")] = None,
    device: Annotated[str | None, _option(WHERE)] = None,
) -> None:
    """Add predictions, and the probability of each class, to a table."""
    from gpugrad.saving import write_whole
    from gpugrad.train.trained import load

    table = load(run, device).predict_file(file)
    if out is None:
        sys.stdout.write(table)
    else:
        write_whole(out, table)


app.command()(devices)
app.command()(doctor)
app.command()(profile)


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", help="print the version and stop", is_eager=True)
    ] = False,
) -> None:
    """Train multilayer perceptrons, and use them."""
    if version:
        from importlib.metadata import version as installed

        print(f"gpugrad {installed('gpugrad')}")
    elif context.invoked_subcommand is None:
        print(context.get_help())


def _sizes(text: str) -> tuple[int, ...]:
    """`128,64` as numbers."""
    if text.strip() in ("", "none"):
        return ()
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise OptionError(
            f"--hidden {text}: whole numbers with commas are expected, such as 128,64, or none"
        ) from None
