import re
import signal
import subprocess
import sys

import pytest
import torch
import typer

import segdistill
from segdistill.cli import app as cli
from segdistill.util import RunError, Stopped

VERBS = {
    "demo": {"overrides", "--out"},
    "train": {"recipe", "overrides", "--student", "--teacher", "--out", "--resume"},
    "compare": {
        "recipe",
        "overrides",
        "--student",
        "--methods",
        "--seeds",
        "--vary",
        "--teacher",
        "--teacher-set",
        "--budget",
        "--seconds",
        "--against",
        "--jobs",
        "--retry",
        "--runs-only",
        "--out",
    },
    "evaluate": {"run", "overrides", "--recipe", "--split", "--official", "--student", "--json"},
    "export": {
        "run",
        "overrides",
        "--to",
        "--out",
        "--size",
        "--argmax",
        "--uint8",
        "--opset",
        "--limit",
        "--recipe",
        "--split",
        "--noise",
        "--source",
        "--name",
        "--student",
    },
    "predict": {
        "run",
        "sources",
        "--student",
        "--out",
        "--list",
        "--window",
        "--scales",
        "--flip",
        "--batch-size",
        "--overlays",
        "--confidence",
        "--probabilities",
        "--max-pixels",
        "--device",
    },
    "report": {"runs", "--out", "--markdown"},
    "check": {"recipe", "overrides", "--student", "--teacher", "--json", "--pictures", "--stats"},
    "init": {"folder", "--out", "--force"},
    "prepare": {"recipe", "overrides", "--out"},
    "profile": {"recipe", "overrides", "--student", "--teacher", "--steps", "--json"},
    "import": {"source", "--out", "--format", "--background", "--keep-empty"},
    "list": {"overrides", "--layers", "--student", "--measure"},
}


def test_verbs_and_options_are_those_that_people_have_in_their_scripts():
    commands = typer.main.get_command(cli.app).commands
    found = {
        name: {p.opts[0] if p.param_type_name == "option" else p.name for p in command.params if p.name != "help"}
        for name, command in commands.items()
    }
    assert found == VERBS


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], *([verb, "--help"] for verb in VERBS), []])
def test_help_is_quick_since_it_loads_no_torch(arguments):
    code = (
        "import sys\nfrom segdistill.cli.app import main\ntry:\n    main()\nexcept SystemExit as left:\n"
        "    heavy = [m for m in ('torch', 'numpy', 'timm', 'plotly') if m in sys.modules]\n"
        "    print('LOADED', heavy, file=sys.stderr)\n    raise"
    )
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "LOADED []"
    assert done.returncode == (0 if arguments else 2)
    assert "--help" in done.stdout + done.stderr or done.stdout.strip() == segdistill.__version__


def test_the_module_is_the_command():
    done = subprocess.run([sys.executable, "-m", "segdistill", "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, f"{segdistill.__version__}\n")


@pytest.mark.parametrize(
    ("verb", "place", "remedy"),
    [
        ("demo", "segdistill.comparison.run_demo", "The same command continues."),
        ("compare", "segdistill.comparison.comparing.set_up", "The same command continues."),
        ("train", "segdistill.experiment.verbs.run_recipe", "Continue with: segdistill train --resume run"),
    ],
)
def test_a_stop_says_how_to_go_on(segdistill_, tmp_path, monkeypatch, verb, place, remedy):
    def stop(*_, **__):
        raise Stopped(3, signal.SIGINT)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(place, stop)
    needed = {"train": ["demo_student"], "compare": ["demo", "--methods", "kd", "--teacher", "demo_teacher"]}
    code, _, err = segdistill_(verb, *needed.get(verb, []), "--out", "run")
    assert code == 130
    assert err.splitlines()[-1] == f"stopped by SIGINT after step 3; everything is saved. {remedy}"


@pytest.mark.parametrize("kind", [KeyError, ValueError, RuntimeError, OSError])
def test_our_own_faults_keep_their_traceback(monkeypatch, kind):
    def broken(*_, **__):
        raise kind("ours")

    monkeypatch.setattr(cli, "app", broken)
    with pytest.raises(kind, match="ours"):
        cli.main()


def test_a_file_that_cannot_be_used_is_a_sentence_with_its_path_and_the_reason(segdistill_, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "runs/a/last")

    monkeypatch.setattr("segdistill.experiment.verbs.run_recipe", full)
    code, _, err = segdistill_("train", "demo_student", "--out", "nowhere")
    assert code == 2
    assert err.splitlines()[-1] == "error: runs/a/last cannot be used: No space left on device."


def test_a_gpu_that_is_too_small_is_a_sentence(segdistill_, monkeypatch):
    def full(*_, **__):
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr("segdistill.experiment.verbs.run_recipe", full)
    code, _, err = segdistill_("train", "demo_student", "--out", "nowhere")
    assert (code, err.splitlines()[-1]) == (2, "error: CUDA out of memory.")


def test_debug_shows_the_traceback_of_every_error(monkeypatch):
    for debug in (["--debug"], []):
        monkeypatch.setattr(sys, "argv", ["segdistill", *debug, "report", "none"])
        with pytest.raises(RunError if debug else SystemExit):
            cli.main()


@pytest.mark.parametrize("verb", VERBS)
def test_help_explains_every_option_and_tells_defaults(ok, verb):
    printed = ok(verb, "--help")
    assert "<bool>" not in printed
    for parameter in typer.main.get_command(cli.app).commands[verb].params:
        assert parameter.help, parameter.name
    if "--out" in VERBS[verb] and verb not in ("prepare", "import"):
        assert re.search(r"--out .*\[default: [\w./<>]+\]", " ".join(printed.split()))


def test_brackets_in_a_message_are_text_and_not_markup(segdistill_):
    code, _, err = segdistill_("report", "[bold]x[/bold]")
    assert code == 2
    assert "[bold]x[/bold] is not a folder" in err
