"""Runs the checks of a suite: a line each, then a count."""

import inspect
import os
import sys
import time
import traceback
from collections.abc import Callable


def run(module: str, *arguments: object, before: Callable[[], object] = lambda: None) -> int:
    """Call every `test_…` of a module in the order of the file; the exit status.

    A check may be asked for by a part of its name on the command line. `before` each of them, the
    stage is set again.
    """
    tests = [
        (name.removeprefix("test_").replace("_", " "), value)
        for name, value in vars(sys.modules[module]).items()
        if name.startswith("test_") and callable(value)
    ]
    wanted = [word.replace("_", " ") for word in sys.argv[1:]]
    if wanted:
        tests = [(name, test) for name, test in tests if any(word in name for word in wanted)]
    failed = sum(not _passes(name, test, arguments, before) for name, test in tests)
    print(f"{len(tests) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


def _passes(
    name: str,
    test: Callable[..., object],
    arguments: tuple[object, ...],
    before: Callable[[], object],
) -> bool:
    since = time.monotonic()
    try:
        before()
        test(*arguments[: len(inspect.signature(test).parameters)])
    except Exception as error:  # noqa: BLE001 - a check may fail in any way
        print(f"FAILED  {name} ({time.monotonic() - since:.1f} s)")
        for line in _reasons(error):
            print(f"        {line}")
        sys.stdout.flush()
        return False
    print(f"ok      {name} ({time.monotonic() - since:.1f} s)", flush=True)
    return True


def _reasons(error: BaseException) -> list[str]:
    """What went wrong and where in the suite: of a group, every member."""
    members = getattr(error, "exceptions", ())
    if members:
        return [line for inner in members for line in _reasons(inner)]
    ours = [
        f"{os.path.basename(frame.filename)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if "/tests/clients/" in frame.filename and "checks.py" not in frame.filename
    ]
    text = str(error).strip() or type(error).__name__
    if not isinstance(error, AssertionError):
        text = f"{type(error).__name__}: {text}"
    lines = text.splitlines()[:12] + [f"at {' < '.join(reversed(ours))}"]
    if error.__cause__ is not None:
        lines += _reasons(error.__cause__)
    return lines
