"""What could not be done: list, show, replay, drop."""

import typer

app = typer.Typer(no_args_is_help=True, help=__doc__)
