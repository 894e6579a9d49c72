"""The command line. Subcommands are imported when they are called, so that `harness --help` is quick."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import click

from harness.errors import HarnessFault, UserMistake
from harness.verdict import ExitCode


@dataclass(frozen=True, slots=True)
class _Subcommand:
    target: str
    """`module:attribute` of its click command."""
    help: str


_SUBCOMMANDS: Mapping[str, _Subcommand] = {
    "run": _Subcommand("harness.cli.run:run", "Play scenarios against a client, judge it, and write the results."),
    "list": _Subcommand("harness.cli.list_:list_", "Show what scenarios or checks there are."),
    "validate": _Subcommand(
        "harness.cli.validate:validate", "Load scenarios without running them, and say what is wrong."
    ),
    "explain": _Subcommand(
        "harness.cli.explain:explain", "Explain one check: its rule, its evidence, how to fix a client."
    ),
    "selftest": _Subcommand(
        "harness.cli.selftest:selftest", "Play the reference and the broken clients; print the matrix."
    ),
    "serve": _Subcommand("harness.cli.serve:serve", "Run the fake server for testing by hand."),
    "report": _Subcommand("harness.cli.report:report", "Judge and draw stored journals again, running nothing."),
    "doctor": _Subcommand(
        "harness.cli.doctor:doctor", "Say what is installed and which proxy will be used; install one."
    ),
    "schema": _Subcommand("harness.cli.schema:schema", "Print the JSON Schema of the scenario language."),
}


class LazyGroup(click.Group):
    """A group that knows its subcommands' names and help, and imports one only to call it.

    It also gives every way of ending its exit code (`ExitCode`). A command returns its code; None means 0.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the table."""
        return list(_SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one subcommand; None for an unknown name."""
        found = _SUBCOMMANDS.get(cmd_name)
        if found is None:
            return None
        module_name, _, attribute = found.target.partition(":")
        command = getattr(importlib.import_module(module_name), attribute)
        assert isinstance(command, click.Command)  # noqa: S101 - the table is ours
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table, without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, one.help) for name, one in _SUBCOMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Suggests the nearest name for an unknown one."""
        name = args[0] if args else ""
        if name and not name.startswith("-") and name not in _SUBCOMMANDS:
            from harness.problems import nearest

            near = nearest(name, _SUBCOMMANDS)
            hint = f"did you mean '{near}'?" if near else f"the commands are {', '.join(_SUBCOMMANDS)}"
            ctx.fail(f"'{name}' is no command; {hint}")
        return super().resolve_command(ctx, args)

    def main(self, *args: Any, **extra: Any) -> Any:
        """Run, and leave with the exit code that fits what happened (unless `standalone_mode` is false)."""
        inherited: Any = super().main
        if not extra.pop("standalone_mode", True):
            return inherited(*args, standalone_mode=False, **extra)
        return _leave_with(lambda: inherited(*args, standalone_mode=False, **extra))


def _leave_with(command: Callable[[], object]) -> NoReturn:
    """Call `command` and end the process with its exit code, or with that of how it failed."""
    code: int = ExitCode.PASSED
    try:
        result = command()
        code = result if isinstance(result, int) else ExitCode.PASSED
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        code = ExitCode.BAD_USAGE
    except UserMistake as mistake:
        for message in mistake.messages:
            click.echo(message, err=True)
        code = ExitCode.BAD_USAGE
    except HarnessFault as fault:
        click.echo(f"The harness itself failed: {fault}", err=True)
        code = ExitCode.HARNESS_FAULT
    except (KeyboardInterrupt, click.Abort):
        click.echo("Interrupted.", err=True)
        code = ExitCode.INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has left (`harness list | head`): say nothing more, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:
        click.echo(f"The harness itself failed: {error}", err=True)
        code = ExitCode.HARNESS_FAULT
    except Exception:  # noqa: BLE001 - a mistake of ours: never the exit code 1 that says "a check failed"
        traceback.print_exc()
        click.echo("The harness itself failed: please report the lines above.", err=True)
        code = ExitCode.HARNESS_FAULT
    sys.exit(int(code))


def _print_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"harness {version('live-api-harness')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version."
)
def main() -> None:
    """Test how a client of the Gemini Live API behaves when things go wrong."""
