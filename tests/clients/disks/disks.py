"""Small disks, and what fills them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

DISKS = Path(os.environ["SUITE_DISKS"])
DATA, LOG, UPLOADS = DISKS / "data", DISKS / "log", DISKS / "uploads"
MIB = 1 << 20
BALLAST = "ballast"


def free(disk: Path) -> int:
    told = os.statvfs(disk)
    return told.f_bavail * told.f_frsize


def used(disk: Path) -> int:
    """By all but the ballast."""
    told = os.statvfs(disk)
    ballast = disk / BALLAST
    of_ballast = ballast.stat().st_blocks * 512 if ballast.exists() else 0
    return (told.f_blocks - told.f_bfree) * told.f_frsize - of_ballast


def press(disk: Path, left: int = 0) -> None:
    """Leave so many bytes on a disk, or none at all."""
    with open(disk / BALLAST, "ab", buffering=0) as ballast:
        more = free(disk) - left
        while more > 0:
            try:
                os.posix_fallocate(ballast.fileno(), ballast.tell(), more)
                ballast.seek(0, os.SEEK_END)
            except OSError:
                pass  # somebody else has taken some meanwhile
            before, more = more, free(disk) - left
            if more >= before:
                break


@contextmanager
def pressed(disk: Path, left: int = 0) -> Iterator[None]:
    """The same for a while."""
    press(disk, left)
    try:
        yield
    finally:
        (disk / BALLAST).unlink()
