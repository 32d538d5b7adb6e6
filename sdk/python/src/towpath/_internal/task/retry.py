"""When a task is tried again, and after what delay."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..engine.failures import every_error
from ..problem import Cancelled, NonRetryable
from .durations import Duration, ms_of
from .options import TaskOptions

_TIMER_MS_MAX = 2**31 - 1
_DEFAULT_JITTER = 0.2
_FIRST_MS = 500
_MAX_MS = 30_000


def exponential(*, first: Duration, factor: float = 2, most: Duration = "1m") -> Callable[[int, BaseException], float]:
    """Delays that grow by a factor up to a maximum, for `retry_delay`.

    Args:
        first: before the first retry.
        factor: of each delay to the one before.
        most: the longest delay.

    Raises:
        InvalidDefinition: names the wrong duration.

    Example:
        @task(retries=5, retry_delay=exponential(first="200ms"))
        def fetch(page: int) -> bytes: ...
    """
    first_ms, most_ms = ms_of("exponential: first", first), ms_of("exponential: most", most)

    def delay(tries: int, _error: BaseException) -> float:
        try:
            return min(first_ms * factor ** (tries - 1), most_ms) / 1000
        except OverflowError:
            return most_ms / 1000

    return delay


def retry_delay_ms(options: TaskOptions, *, tries: int, error: BaseException, random: Callable[[], float]) -> int:
    """The delay before the next try, milliseconds."""
    jitter = options.retry_jitter
    if jitter is None:
        jitter = _DEFAULT_JITTER if options.retry_delay is None else 0
    base = _base_ms(options, tries, error)
    # Half a millisecond is rounded up. Python's round() would round it to an even number.
    return min(math.floor(base * (1 + jitter * (random() * 2 - 1)) + 0.5), _TIMER_MS_MAX)


def _base_ms(options: TaskOptions, tries: int, error: BaseException) -> float:
    delay = options.retry_delay
    if delay is None:
        return min(_FIRST_MS * 2.0 ** min(tries - 1, 10), _MAX_MS)
    what = f'task "{options.name}": retry_delay'
    if callable(delay):
        return ms_of(what, delay(tries, error))
    if isinstance(delay, (list, tuple)):
        return ms_of(what, delay[min(tries, len(delay)) - 1])
    return ms_of(what, delay)  # type: ignore[arg-type]


def is_retryable(options: TaskOptions, error: BaseException, tries: int) -> bool:
    """Whether an error allows another try. A cancellation or NonRetryable never does. `retry_on` and `retry_if` must
    both allow it. NonRetryable and `retry_on` also count for the causes of the error and for the parts of a group."""
    if isinstance(error, Cancelled) or not isinstance(error, Exception):
        return False
    chain = list(every_error(error))
    if any(isinstance(one, NonRetryable) for one in chain):
        return False
    if options.retry_on is not None and not any(isinstance(one, options.retry_on) for one in chain):
        return False
    return options.retry_if is None or bool(options.retry_if(error, tries))
