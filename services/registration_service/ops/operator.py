"""Who may operate: a token with the scope `ops`."""

from typing import Annotated

from fastapi import Depends

from shared.permission import OPS, Caller
from shared.tokens import Scoped

Operator = Annotated[Caller, Depends(Scoped(OPS))]
