"""An iterator that works in a thread of its own, one item ahead of whoever uses what it makes."""

import threading
from collections.abc import Generator
from contextlib import closing
from queue import SimpleQueue
from typing import TypeVar

Item = TypeVar("Item")


def ahead(items: Generator[Item, None, None]) -> Generator[Item, None, None]:
    """The same items in the same order, made in a thread; use with `contextlib.closing`, after which the thread has ended and ``items`` is closed.

    While one is in use, one more is finished or in the making. What ``items`` raises is raised here, after the items before it.
    """
    made: SimpleQueue[tuple[Item] | BaseException | None] = SimpleQueue()
    room = threading.Semaphore()
    unwanted = threading.Event()

    def make() -> None:
        end = None
        try:
            with closing(items):
                while room.acquire() and not unwanted.is_set():
                    made.put((next(items),))
        except StopIteration:
            pass
        except BaseException as error:  # noqa: BLE001 - whatever it is, the user of the items is the one to meet it
            end = error
        made.put(end)

    thread = threading.Thread(target=make, daemon=True)
    thread.start()
    try:
        while isinstance(item := made.get(), tuple):
            room.release()
            yield item[0]
        if item is not None:
            raise item
    finally:
        unwanted.set()
        room.release()
        thread.join()
