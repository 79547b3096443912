"""Every command explains itself at 80 columns, completes in shells, and tells errors by standard error and exit status."""

import os
import subprocess
import sys

import pytest
from click.testing import CliRunner

from rightseat.commands.root import _VERBS, cli


def commands(group, path=()):
    """All commands, with those of groups."""
    context = group.make_context("rightseat", [], resilient_parsing=True)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if hasattr(command, "list_commands"):
            yield from commands(command, (*path, name))


ALL = list(commands(cli))


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_help_reads_well_at_80_columns(path):
    done = CliRunner().invoke(cli, [*path, "--help"], env={"COLUMNS": "80"}, terminal_width=80)
    assert done.exit_code == 0
    assert all(len(line) <= 80 for line in done.output.splitlines()), max(done.output.splitlines(), key=len)
    assert "Usage: " in done.output
    text = done.output.split("\n\n", 1)[1].strip()
    assert text[0].isupper()


@pytest.mark.parametrize("path", [path for path, _ in ALL], ids=" ".join)
def test_every_option_is_explained(path):
    command = dict(ALL)[path]
    unexplained = [
        p.name for p in command.params if p.param_type_name == "option" and not p.help and p.name != "version"
    ]
    assert unexplained == []


def test_a_command_that_is_misspelt_is_told_the_nearest_one():
    done = CliRunner().invoke(cli, ["aks", "hi"])
    assert done.exit_code == 2
    assert "No such command 'aks'. Did you mean 'ask'?" in done.output
    assert "Did you mean" not in CliRunner().invoke(cli, ["xyzzy"]).output


def test_the_list_of_commands_says_what_each_is_for():
    done = CliRunner().invoke(cli, ["--help"], terminal_width=80)
    assert all(name in done.output for name in _VERBS)
    assert "Exit status: 0" in done.output


@pytest.mark.parametrize(
    ("shell", "mark"), [("bash", "complete -o nosort"), ("zsh", "#compdef"), ("fish", "complete --no-files")]
)
def test_shell_completion_exists(shell, mark):
    env = {**os.environ, "_RIGHTSEAT_COMPLETE": f"{shell}_source", "PATH": os.environ["PATH"]}
    script = "from rightseat.commands import main; import sys; sys.argv[0] = 'rightseat'; main()"
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert mark in done.stdout, done.stderr


def test_a_completion_offers_commands():
    env = {**os.environ, "_RIGHTSEAT_COMPLETE": "zsh_complete", "COMP_WORDS": "rightseat do", "COMP_CWORD": "1"}
    script = "from rightseat.commands import main; import sys; sys.argv[0] = 'rightseat'; main()"
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)
    assert "doctor" in done.stdout


def test_a_wrong_call_is_2_and_an_error_is_1_and_both_are_on_standard_error():
    for arguments, status in (
        (["nothing"], 2),
        (["serve", "--port", "x"], 2),
        (["config", "check", "--config", "/none.toml"], 1),
    ):
        done = CliRunner().invoke(cli, arguments)
        assert (done.exit_code, done.stdout) == (status, "")
        assert "Error: " in done.stderr
