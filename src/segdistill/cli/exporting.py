"""The verb that ships a network: export."""

from pathlib import Path
from typing import Annotated

import typer

from segdistill.cli.console import err, say
from segdistill.cli.options import TrainedStudent
from segdistill.cli.predicting import size_of


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder or a student.safetensors.")],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="KEY=VALUE", help="Overrides of the recipe, e.g. data.root=FOLDER", show_default=False),
    ] = None,
    to: Annotated[str, typer.Option(metavar="FORMATS", help="onnx, openvino, torch, by commas.")] = "onnx",
    folder: Annotated[
        Path | None, typer.Option("--out", help="Folder of the files. [default: export in the run]")
    ] = None,
    size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Size that the file insists on. [default: any]")
    ] = None,
    argmax: Annotated[bool, typer.Option("--argmax", help="Give class ids instead of logits.")] = False,
    uint8: Annotated[
        bool, typer.Option("--uint8", help="Take bytes (B, H, W, C) instead of floats (B, C, H, W).")
    ] = False,
    opset: Annotated[int, typer.Option(help="Of ONNX, 18 to 23.")] = 20,
    limit: Annotated[float, typer.Option(help="Largest difference, as a share of the largest logit.")] = 1e-3,
    recipe: Annotated[str | None, typer.Option(help="Names the data of the proof. [default: the run's]")] = None,
    split: Annotated[str | None, typer.Option(help="Of the data. [default: validation]")] = None,
    noise: Annotated[bool, typer.Option("--noise", help="Without data: compare on noise, score nothing.")] = False,
    source: Annotated[
        str | None, typer.Option(help="Source of a file of weights that is no run, e.g. openmmlab.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="Name of the network in its source.")] = None,
    student: TrainedStudent = None,
) -> None:
    """Write ONNX, OpenVINO or torch.export files, and prove that they answer as the network does."""
    chosen = size_of("--size", size)  # before torch is loaded
    from segdistill.deploy import export as write_files

    done = write_files(
        run, to, out=folder, recipe=recipe, overrides=overrides or [], split=split, noise=noise, size=chosen,
        argmax=argmax, uint8=uint8, opset=opset, limit=limit, source=source, name=name, student=student,
        announce=lambda sentence: err.print(sentence, highlight=False),
    )  # fmt: skip
    for row in done.frame():
        say(
            f"{done.folder / row['file']}: verified; "
            + (f"largest difference {row['largest']:.1e}, " if row["largest"] is not None else "")
            + f"{100 * row['equal']:.3f} % of the pixels alike, "
            + (f"mIoU {100 * row['miou']:.2f} ({100 * row['trained_miou']:.2f} trained), " if row["miou"] else "")
            + f"{row['ms']:.1f} ms ({row['trained_ms']:.1f} in torch), {row['bytes'] / 2**20:.1f} MiB"
        )
