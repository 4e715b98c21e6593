import threading
from contextlib import closing

import pytest

from mlpf.producer.ahead import ahead


def counting(log, stop=100, error_at=None):
    """Numbers; the log says which were made, and whether the generator was closed."""
    try:
        for i in range(stop):
            if i == error_at:
                raise ValueError(f"at {i}")
            log.append(i)
            yield i
    finally:
        log.append("closed")


def test_items_come_in_order_and_all_of_them():
    log = []
    with closing(ahead(counting(log, 50))) as items:
        assert list(items) == list(range(50))
    assert log[-1] == "closed"


def test_an_error_comes_after_the_items_before_it():
    log, found = [], []
    with pytest.raises(ValueError, match="at 3"), closing(ahead(counting(log, error_at=3))) as items:
        for item in items:
            found.append(item)  # noqa: PERF402 - what came before the error counts
    assert found == [0, 1, 2]
    assert log == [0, 1, 2, "closed"]


def test_one_item_is_made_ahead_and_no_more():
    log, ready = [], threading.Event()

    def made():
        for i in range(100):
            log.append(i)
            if len(log) == 2:
                ready.set()
            yield i

    with closing(ahead(made())) as items:
        next(items)
        assert ready.wait(timeout=10)  # it is ahead ...
        assert not threading.Event().wait(timeout=0.05)
        assert len(log) == 2  # ... but no further


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_when_the_user_of_the_items_stops_so_does_the_thread(error):
    log = []
    before = threading.active_count()
    with pytest.raises(error), closing(ahead(counting(log))) as items:
        for item in items:
            if item == 4:
                raise error
    assert threading.active_count() == before
    assert log[-1] == "closed"
    assert len(log) <= 7


def test_stages_one_behind_the_other_stop_together():
    log = []

    def doubled(items):
        with closing(items):
            for item in items:
                yield 2 * item

    before = threading.active_count()
    with closing(ahead(doubled(ahead(counting(log))))) as items:
        assert [next(items) for _ in range(3)] == [0, 2, 4]
    assert threading.active_count() == before
    assert log[-1] == "closed"


def test_an_error_in_the_first_stage_comes_through_all_of_them():
    def same(items):
        with closing(items):
            yield from items

    with pytest.raises(ValueError, match="at 2"), closing(ahead(same(ahead(counting([], error_at=2))))) as items:
        list(items)


def test_the_items_are_made_in_another_thread_while_one_is_in_use():
    threads, waiting = set(), threading.Barrier(2, timeout=10)

    def made():
        threads.add(threading.get_ident())
        yield 0
        waiting.wait()  # passes only if the user of item 0 waits there at the same time
        yield 1

    with closing(ahead(made())) as items:
        next(items)
        waiting.wait()
        assert next(items) == 1
    assert threading.get_ident() not in threads
