"""The command line: each command loads the parameters and calls one stage."""

import logging
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from irstd.cli_data import app as data_app
from irstd.config import Params, load_params
from irstd.errors import ConfigError, IrstdError

# Nothing that this program starts reports home.
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
}

app = typer.Typer(
    help="Infrared small target detection: from raw images to a verified, registered model.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(data_app, name="data")

Network = Annotated[str, typer.Argument(help="Model id, one of train.networks in params.yaml.")]
NetworkOrFile = Annotated[
    str | None, typer.Argument(help="Model id, one of train.networks; none: of a file, with -o.")
]
Weights = Annotated[
    Path | None, typer.Option(help="A weight file of this program, or a published one.")
]
Published = Annotated[
    str | None, typer.Option("--network", help="Model id of a published weight file.")
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace earlier results.")]


@app.command()
def prepare() -> None:
    """Decode, check and index the images of the source."""
    from irstd.stages.prepare import prepare as stage

    stage(Path(), _params())


@app.command()
def validate() -> None:
    """Check the index with Great Expectations; stops the pipeline on a failed expectation."""
    from irstd.stages.validate import validate as stage

    stage(Path(), _params())


@app.command()
def train(network: Network) -> None:
    """Train one network; resumes where a killed run stopped."""
    from irstd.stages.train import train as stage

    stage(Path(), _params(), network)


@app.command()
def evaluate(
    network: NetworkOrFile = None,
    weights: Weights = None,
    onnx: Annotated[Path | None, typer.Option(help="An ONNX file of this program.")] = None,
    predictions: Annotated[
        Path | None,
        typer.Option(
            help="Folder with a score map or mask per image, ID and .png, .bmp, .tif, .tiff "
            "(grey, 8 or 16 bit), .npy or .mat (version 5 to 7); or written by `irstd evaluate`."
        ),
    ] = None,
    images: Annotated[
        Path | None,
        typer.Option(
            help="Folder of images to evaluate on, instead of the prepared test part; subfolders "
            "are sequences: the bootstrap draws each as a whole."
        ),
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder with their masks: ID, ID_pixels0, ID_mask or ID_gt.")
    ] = None,
    empty: Annotated[
        Path | None, typer.Option(help="Folder of images without any target; needs no masks.")
    ] = None,
    split: Annotated[
        Path | None,
        typer.Option(
            help="Text file, one ID a line (path in --images, without suffix), each once: only "
            "these of --images, --masks and maps."
        ),
    ] = None,
    convention: Annotated[
        str | None,
        typer.Option(
            help="How to count beside ispanet: all, or names with commas between. "
            "Default: evaluate.convention."
        ),
    ] = None,
    size: Annotated[
        int | None,
        typer.Option(min=1, help="Side of the square images, if a convention divides by it."),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(help="What the results call it. Default: the network, or for maps OUTPUT."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Folder for the results of a file.")
    ] = None,
    published: Published = None,
    overwrite: Overwrite = False,
) -> None:
    """Measure a trained network, or any file (with -o), on the test part."""
    if network is not None:
        files = weights, onnx, predictions, images, masks, empty, split, convention, size, name
        _no_file_options(network, *files, output, published, overwrite)
        from irstd.stages.evaluate import evaluate as stage

        stage(Path(), _params(), network)
        return
    from irstd.evaluation.folders import Folders
    from irstd.stages.evaluate_file import evaluate_file

    places = images, masks, empty, split
    metrics = evaluate_file(
        Path(),
        _params(),
        _output(output, "evaluate", "--weights, --onnx, --predictions"),
        weights=weights,
        onnx=onnx,
        predictions=predictions,
        network=published,
        folders=None if places == (None,) * 4 else Folders(*places),
        convention=convention,
        size=size,
        name=name,
        overwrite=overwrite,
    )
    typer.echo(f"{output}: IoU {metrics['iou']:.4f} on {metrics['n_images']} images")


@app.command()
def compare(
    a: Annotated[str, typer.Argument(help="Output folder of `irstd evaluate`, or a network.")],
    b: Annotated[str, typer.Argument(help="Likewise; differences are B - A.")],
    convention: Annotated[
        str | None, typer.Option(help="How to count: all, or names with commas between.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="Also write this .json file.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Compare two evaluations of the same images: differences, intervals, p-values."""
    from irstd.stages.compare import as_text
    from irstd.stages.compare import compare as stage

    result = stage(
        Path(), _params(), a, b, conventions=convention, output=output, overwrite=overwrite
    )
    typer.echo(as_text(result, as_json=as_json))


@app.command()
def export(
    network: NetworkOrFile = None,
    weights: Weights = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", help="The .onnx file of a weight file.")
    ] = None,
    published: Published = None,
    height: Annotated[
        int | None, typer.Option(min=1, help="Of the input, for a network of one size.")
    ] = None,
    width: Annotated[
        int | None, typer.Option(min=1, help="Of the input, for a network of one size.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Write the ONNX file of a trained network, or of any weights, if both give the same."""
    if network is not None:
        _no_file_options(network, weights, output, published, height, width, overwrite)
        from irstd.stages.export import export as stage

        stage(Path(), _params(), network)
        return
    if weights is None or (height is None) != (width is None):
        raise ConfigError(
            "irstd export: expected NETWORK, or --weights FILE -o OUT.onnx with both --height and "
            "--width or neither"
        )
    from irstd.stages.export import export_file

    export_file(
        Path(),
        _params(),
        weights,
        _output(output, "export", "--weights"),
        network=published,
        size=None if height is None or width is None else (height, width),
        overwrite=overwrite,
    )


@app.command()
def register(
    onnx: Annotated[
        Path | None, typer.Option(help="One ONNX file, without figures; imported or trained.")
    ] = None,
) -> None:
    """Put the exported networks, or one ONNX file, into the MLflow model registry."""
    if onnx is None:
        from irstd.stages.register import register as stage

        stage(Path(), _params())
        return
    from irstd.stages.register import register_file

    receipt = register_file(Path(), _params(), onnx)
    typer.echo(f"{onnx}: models:/{receipt['model']}/{receipt['version']['version']}")


@app.command("import-weights")
def import_weights(
    network: Annotated[str, typer.Argument(help="Model id; `irstd models` lists them.")],
    source: Annotated[Path, typer.Argument(help="Weight file as published.", metavar="FILE")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors file to write.")],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Argument of the network; repeatable."),
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Where the weights stand, if several parts fit, e.g. ema.")
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Read published weights (.pth, .pth.tar, .pt, .pkl, .params), running nothing in them."""
    from irstd.stages.import_weights import import_weights as stage

    stage(Path(), network, source, output, settings or (), overwrite, part)


@app.command()
def models(
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, with full citations.")] = False,
) -> None:
    """List the networks: parameters, cost, paper, input, legal sizes."""
    from irstd.stages.models import as_text, list_networks

    typer.echo(as_text(list_networks(), as_json=as_json))


@app.command()
def track() -> None:
    """Send what could not be logged while the MLflow server was away."""
    from irstd.stages.track import track as stage

    stage(Path(), _params())


@app.command()
def tune() -> None:
    """Search F-SIoU's alpha and gamma and the channel width with Optuna; resumes a study."""
    from irstd.stages.tune import tune as stage

    stage(Path(), _params())


@app.command()
def report(
    publish: Annotated[
        Path | None, typer.Option(help="Also write a short report (Markdown, a few pictures) here.")
    ] = None,
    readme: Annotated[
        Path | None,
        typer.Option(help="Also renew table and picture between the markers of this file."),
    ] = None,
) -> None:
    """Write one page over all results of the active profile."""
    from irstd.stages.report import report as stage

    page = stage(Path(), _params(), publish, readme)
    typer.echo(f"Report: {page}")


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Image files, folders or videos.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the results.")],
    model: Annotated[
        str | None,
        typer.Option(
            help=".onnx or .safetensors file, PROFILE/NETWORK, MLflow run id, or registry "
            "reference such as models:/irstd/3 or irstd@champion. Default: the active "
            "profile's first network."
        ),
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0.0, max=1.0, help="Default: the model's own.")
    ] = None,
    overwrite: Overwrite = False,
    tta: Annotated[
        bool,
        typer.Option(
            "--tta",
            help="Average over mirror images and scales (SGMP-UNet's paper); only for networks "
            "that take several sizes.",
        ),
    ] = False,
) -> None:
    """Detect targets: mask, overlay and detections (JSON, CSV) of each image."""
    from irstd.stages.predict import run_predict

    summary = run_predict(
        images, output, model=model, root=Path(), threshold=threshold, overwrite=overwrite, tta=tta
    )
    for failure in summary.failures:
        typer.echo(f"irstd: {failure.file}: {failure.reason}", err=True)
    typer.echo(
        f"{summary.output}: {summary.detections} detections on {summary.images} images "
        f"({summary.device_name}); {len(summary.failures)} files failed"
    )
    if summary.failures:
        raise typer.Exit(1)


@app.command()
def profile(
    name: Annotated[
        str | None, typer.Argument(help="Profile to switch to; none: list them.")
    ] = None,
    discard_edits: Annotated[
        bool, typer.Option("--discard-edits", help="Replace an edited params.yaml.")
    ] = False,
) -> None:
    """Switch params.yaml to a profile, or list the profiles."""
    from irstd.profiles import missing_source, profile_names, use_profile

    if name is None:
        active = _params().profile
        for known in profile_names(Path()):
            typer.echo(f"{'*' if known == active else ' '} {known}")
        return
    use_profile(Path(), name, discard_edits)
    typer.echo(f"params.yaml now holds profile {name}; `dvc repro` runs what that changes")
    source = missing_source(Path())
    if source is not None:
        typer.echo(
            f"irstd: {name} needs the images of {source}, and data/raw/{source} does not exist; "
            f"run `irstd data add {source} PATH` with the published folder before `dvc repro`",
            err=True,
        )


def _no_file_options(network: str, *options: object) -> None:
    """Refuse a network together with a file, which is a different task.

    Raises:
        ConfigError: an option is given.
    """
    if any(option not in (None, False) for option in options):
        raise ConfigError(
            f"NETWORK ({network}) runs the stage of the pipeline and takes no options; for a file "
            "leave it out (--network NAME says of which network published weights are)"
        )


def _output(output: Path | None, command: str, options: str) -> Path:
    if output is None:
        raise ConfigError(
            f"irstd {command}: expected NETWORK, or a file ({options}) and -o for its results"
        )
    return output


def _params() -> Params:
    return load_params()


def _set_up_logging() -> None:
    """Our own messages from INFO on, those of libraries from WARNING on, as plain lines."""
    handler = logging.StreamHandler()
    handler.addFilter(lambda record: record.levelno > logging.INFO or record.name[:5] == "irstd")
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[handler])
    # Lightning prints its tips through a handler of its own; torch's exporter misses torchvision.
    logging.getLogger("pytorch_lightning.utilities.rank_zero").setLevel(logging.WARNING)
    exporter = "torch.onnx._internal.exporter._registration"
    logging.getLogger(exporter).setLevel(logging.ERROR)


def main() -> None:
    """Entry point of the `irstd` command."""
    for name, value in TELEMETRY_OFF.items():
        os.environ.setdefault(name, value)
    _set_up_logging()
    try:
        app()
    except IrstdError as error:
        typer.echo(f"irstd: {error}", err=True)
        sys.exit(1)
