"""Making the tables empty before a row, while services read them."""

from concurrent.futures import ThreadPoolExecutor

from tests.chaos.lab import Lab
from tests.chaos.locks import held


def test_it_holds_no_table_while_it_waits_for_another(lab: Lab) -> None:
    lab.exam()
    with ThreadPoolExecutor(1) as thread:
        with held(lab.setup.direct, "SELECT count(*) FROM audit_events"):
            emptied = thread.submit(lab.tables.empty)
            filled = [lab.tables.filled(besides="reconciler_cursor") for _ in range(5)]  # each table is read
            assert not emptied.done()
        emptied.result(timeout=30)
    assert all(found["examens_medicaux"] == 1 for found in filled)
    assert lab.tables.ask("SELECT count(*) FROM examens_medicaux") == [(0,)]
