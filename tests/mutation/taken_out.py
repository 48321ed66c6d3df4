"""The switch in the copy that is mutated: each check asks here whether it is the one that is taken out at the moment.

It is copied to `shared/` there; the product has nothing of the kind.
"""

import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, get_args

_FOLDER = Path(os.environ["EXAMFLOW_TAKEN_OUT"])


def out(number: int) -> bool:
    """Whether this check is taken out now; notes that it was reached."""
    try:
        (_FOLDER / "reached" / str(number)).touch(exist_ok=True)
        return (_FOLDER / "active").read_text() == str(number)
    except FileNotFoundError:
        return False  # the folder is being emptied


def scoped(number: int, dependency: Callable[[Any], Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """The dependency, or, taken out, no more than a valid token."""
    from fastapi import Request  # noqa: PLC0415  # shared/permission.py imports this module, and needs none of these

    from shared.tokens import authenticated  # noqa: PLC0415

    async def either(request: Request) -> Any:
        return await (authenticated if out(number) else dependency)(request)

    return either


def opened(number: int, annotated: Any) -> Any:
    """The same for a parameter's annotation."""
    from fastapi import Depends  # noqa: PLC0415

    kind, depends = get_args(annotated)[:2]
    return Annotated[kind, Depends(scoped(number, depends.dependency))]
