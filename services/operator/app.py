"""The operators' command `examflow`: what waits and why, what is dead, and how to bring it back (wiring only)."""

import sys

import typer

from services.operator import audit, consumers, dead_letters, events, images, partners, waiting
from services.operator.errors import OperatorError
from services.operator.reconcile import reconcile
from services.operator.screen import refuse
from services.operator.status import status
from services.operator.timeline import timeline
from shared.secret_files import SettingsRefused

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, help=__doc__)
app.command()(status)
app.command()(timeline)
app.add_typer(waiting.app, name="waiting")
app.add_typer(images.app, name="images")
app.command()(reconcile)
app.add_typer(consumers.app, name="consumers")
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(events.app, name="events")
app.add_typer(partners.app, name="partner")
app.add_typer(audit.app, name="audit")


def main() -> None:
    """Run a command; what cannot be done is told in one sentence."""
    try:
        app()
    except (OperatorError, SettingsRefused) as error:
        refuse(str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        refuse("Stopped; what was not yet done is where it was.")
        sys.exit(130)
