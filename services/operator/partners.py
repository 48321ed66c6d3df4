"""Other systems that publish events: add, list, remove."""

import typer

app = typer.Typer(no_args_is_help=True, help=__doc__)
