"""Bodies of processes, without imports that take long."""

import time
from multiprocessing.connection import Connection


def tells(first: object, last: object, parent: Connection) -> None:
    parent.send(first)
    parent.send(last)


def sleeps(parent: Connection) -> None:
    parent.send(None)
    time.sleep(600)


def dies(parent: Connection) -> None:
    parent.send(None)
    raise SystemExit(3)
