"""Kernels: functions over arrays, which numba compiles, and Python runs as they are where it can't.

Rules:

- One source: what is compiled and what is not gives the same bytes. So sums have a fixed order,
  nothing is reassociated, and logarithms are `math`'s, whose C library both ways share: numpy's
  own differ in the last bit from one CPU to the next.
- A kernel takes arrays, numbers, and named tuples of them, eight at most; it allocates nothing
  that grows with the models, raises nothing, and says in its docstring what shapes and units are.
- What is compiled is kept beside the source, or, where that can't be written, in the user's cache;
  where neither can be, each process compiles for itself. Its folder has a name for the text of all
  files with kernels, since a kernel holds what those that it calls were when it was compiled: so
  constants of kernels stand in such files, too.

numba's ``NUMBA_DISABLE_JIT=1`` leaves all of them uncompiled: for a debugger, and for coverage.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any, Final, TypeVar
from zlib import crc32

numba: Any = None
with suppress(ImportError):  # there is no wheel for every machine
    import numba

F = TypeVar("F", bound=Callable[..., Any])
COMPILED: Final[bool] = numba is not None and not numba.config.DISABLE_JIT
"""Whether kernels are compiled on this machine."""

_all: list[Any] = []
_HERE: Final = Path(__file__).parent


def _kept() -> Path:
    """The folder of what is compiled of these very sources."""
    text = 0
    for file in sorted(_HERE.parent.rglob("*.py")):
        source = file.read_bytes()
        if b"import kernel" in source:
            text = crc32(source, text)
    return Path(numba.config.CACHE_DIR or _HERE / "__pycache__") / f"kernels-{text:08x}"


if COMPILED:
    numba.config.CACHE_DIR = str(_kept())


def kernel(function: F) -> F:
    """Have a function compiled when it is first called.

    >>> @kernel
    ... def twice(x: float) -> float:
    ...     return 2 * x
    >>> twice(21.0)
    42.0
    """
    if not COMPILED:
        return function
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy"}
    try:
        compiled = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no source, or no place for a cache
        compiled = numba.njit(**options)(function)
    _all.append(compiled)
    return compiled  # type: ignore[no-any-return]


def uncompiled() -> list[str]:
    """The kernels that nothing has called yet, nor a kernel that was called, by name."""
    called = [each for each in _all if each.signatures]
    for each in called:  # which grows: what came compiled from the cache brought these along
        calls = _named_in(each.py_func)
        called += [one for one in _all if id(one) in calls and one not in called]
    return [f"{each.__module__}.{each.__name__}" for each in _all if each not in called]


def _named_in(function: Any) -> set[int]:
    """The identities of what a function names, in its own module and in those that it imports."""
    names = function.__code__.co_names
    own = [function.__globals__.get(name) for name in names]
    modules = [value for value in own if isinstance(value, ModuleType)]
    return {id(value) for value in own} | {
        id(getattr(module, name, None)) for module in modules for name in names
    }
