"""The command line: its verbs, and how it ends. Heavy imports are inside functions, so that help is quick."""

import gc
import logging
import shlex
import sys
from typing import Annotated

import typer

from segdistill import __version__
from segdistill.cli import exporting, importing, inspecting, predicting, starting, training, using
from segdistill.cli.console import err, escape, out
from segdistill.util import SegdistillError, Stopped, said

app = typer.Typer(
    name="segdistill",
    help="Train small segmentation networks from big ones by knowledge distillation, and prove what was gained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for _verb in (training.demo, starting.init, training.train, training.compare, inspecting.check, inspecting.prepare,
              inspecting.profile, using.evaluate, predicting.predict, exporting.export, using.report):  # fmt: skip
    app.command()(_verb)
app.command(name="import")(importing.import_)
app.command(name="list")(inspecting.list_all)

SAME_AGAIN = "The same command continues."


class _Asked:
    """What was asked for beside the verb."""

    debug = False


def main() -> None:
    """Run the command line.

    What the user can mend ends as one sentence on stderr and exit code 2, a stop as one and 128 + signal. Anything
    else is a fault of ours and keeps its traceback.
    """
    code = 0
    try:
        with said(shlex.join(["segdistill", *sys.argv[1:]])):
            app()
    except Stopped as stop:
        err.print(escape(f"{stop}{'' if stop.remedy else f' {SAME_AGAIN}'}"), highlight=False, soft_wrap=True)
        code = 128 + stop.signum
    except Exception as error:
        sentence = _sentence(error)
        if _Asked.debug or sentence is None:
            raise
        err.print(f"[bold red]error:[/] {escape(sentence)}", highlight=False, soft_wrap=True)
        code = 2
    finally:
        _leave_process_group()
    sys.exit(code)


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(__version__, highlight=False)
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave."),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Say more.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of every error.")] = False,
) -> None:
    _Asked.debug = debug
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s", force=True)
    logging.getLogger().handlers[0].setLevel(logging.INFO if verbose else logging.WARNING)
    logging.getLogger("segdistill").setLevel(logging.INFO)  # for `events.log` of a run, which says more


def _sentence(error: Exception) -> str | None:
    """What to tell the user who can mend it; None for a fault of ours."""
    if isinstance(error, SegdistillError):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be used: {error.strerror}."
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(error, torch.cuda.OutOfMemoryError):
        return str(error)
    return None


def _leave_process_group() -> None:
    """Under torchrun: leave in order, with no model alive, or gloo aborts at exit."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.distributed.is_available() and torch.distributed.is_initialized():
        gc.collect()
        torch.distributed.destroy_process_group()
