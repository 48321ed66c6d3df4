"""``python -m services.operator`` is the command ``examflow``."""

from services.operator.app import main

main()
