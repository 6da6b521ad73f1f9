"""The commands `irstd data ...`, each of which calls one stage."""

from pathlib import Path
from typing import Annotated

import typer

from irstd.config import load_params
from irstd.layout import Layout

app = typer.Typer(help="Data sets of this project.", no_args_is_help=True)

DRIFTED = 3
"""Exit status of `irstd data drift --exit-code`."""

Name = Annotated[str, typer.Argument(help="Data set; `irstd data list` shows them.")]


@app.command("list")
def list_() -> None:
    """Show the data sets: counts, splits, licence, where to get them."""
    from irstd.stages.list_data import list_data

    typer.echo(list_data())


@app.command()
def add(
    name: Name,
    source: Annotated[Path, typer.Argument(help="Its folder, as published.", metavar="PATH")],
) -> None:
    """Copy a data set into data/raw, checked, and track it with DVC."""
    from irstd.stages.add_data import add_data

    typer.echo(add_data(Path(), name, source))


@app.command()
def fetch(
    name: Name,
    repository: Annotated[
        str | None, typer.Option(help="Clone this address or folder instead of the published one.")
    ] = None,
) -> None:
    """Clone a data set that is published in a git repository, and add it."""
    from irstd.stages.fetch_data import fetch_data

    typer.echo(fetch_data(Path(), name, repository))


@app.command()
def check(
    folder: Annotated[Path, typer.Argument(help="Images with ground truth.", metavar="PATH")],
    json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Name every fault of a folder; the exit status is 1 if there is one."""
    from irstd.stages.check_data import as_json, as_text, check_data

    findings = check_data(folder)
    typer.echo(as_json(findings) if json else as_text(findings))
    if findings.faults:
        raise typer.Exit(1)


@app.command()
def sample(
    folder: Annotated[Path, typer.Argument(help="Images with ground truth.", metavar="PATH")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .png file to write.")],
    count: Annotated[int, typer.Option(min=1, max=100, help="Images to draw.")] = 12,
    seed: Annotated[int, typer.Option(min=0, help="Of the choice.")] = 0,
) -> None:
    """Draw some images of a folder with their targets outlined."""
    from irstd.stages.sample_data import sample_data

    typer.echo(f"{output}: {sample_data(folder, output, count, seed)} images")


@app.command()
def stats() -> None:
    """Describe the prepared images: counts, areas, boxes, SCR, histograms."""
    from irstd.stages.data_stats import data_stats

    params = load_params()
    data_stats(Path(), params)
    typer.echo(Layout(Path(), params.profile).report("data") / "summary.md")


@app.command()
def build() -> None:
    """Make a data set of the prepared images as SHR-IRST was made."""
    from irstd.stages.build import build as stage

    params = load_params()
    layout = Layout(Path(), params.profile)
    stage(layout.processed, layout.built, layout.report("build"), params.build)


@app.command()
def drift(
    new: Annotated[Path, typer.Argument(help="Folder of images, or a prepared folder.")],
    reference: Annotated[
        str | None,
        typer.Option(
            help="Profile whose training part is compared with.", show_default="the active one"
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            help="The network trained on them.", show_default="the first of train.networks, if any"
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Instead: a file, PROFILE/NETWORK, or models:/irstd@champion."),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help=f"End with {DRIFTED} if there is drift.")
    ] = False,
) -> None:
    """Compare new images with those that were trained on; writes drift.json."""
    from irstd.stages.drift import VERDICT_FILE, check_drift

    params = load_params()
    document = check_drift(Path(), params, new, reference=reference, network=network, model=model)
    changed = ", ".join(document["changed"]) or "nothing"
    place = Layout(Path(), reference or params.profile).report("drift") / VERDICT_FILE
    typer.echo(f"{place}: {document['verdict']}; changed: {changed}")
    if exit_code and document["verdict"] == "drift":
        raise typer.Exit(DRIFTED)
