"""Numbers as the run protocol's hashes and texts write them: as JavaScript does."""

from __future__ import annotations

import math

SAFE_INTEGER_MAX = 2**53 - 1
"""The largest whole number that a JSON number holds in every language."""

_DECIMAL_BITS_MAX = 10_000
"""Python refuses to write much longer whole numbers as decimals, because that takes long."""
_DECIMAL_EXPONENT_MAX = 21
_DECIMAL_EXPONENT_MIN = -6


def integer_text(value: int) -> str:
    """A whole number of any size: decimal, or hexadecimal if it is very long."""
    return str(value) if is_decimal(value) else hex(value)


def is_decimal(value: int) -> bool:
    """Whether a whole number is short enough for decimal text."""
    return value.bit_length() <= _DECIMAL_BITS_MAX


def number_text(value: float) -> str:
    """The shortest text of a number, in JavaScript's form: 0.1, 1e+21, 1e-7, -0, NaN, Infinity."""
    if value != value:
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "-0" if math.copysign(1.0, value) < 0 else "0"
    sign = "-" if value < 0 else ""
    mantissa, _, exponent_text = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    # The value is 0.DIGITS * 10 ** point.
    point = int(exponent_text or 0) + (len(whole) if whole != "0" else -(len(fraction) - len(fraction.lstrip("0"))))
    digits = digits.rstrip("0") or "0"
    return sign + _placed(digits, point)


def _placed(digits: str, point: int) -> str:
    if 0 < point <= _DECIMAL_EXPONENT_MAX:
        if len(digits) <= point:
            return digits + "0" * (point - len(digits))
        return f"{digits[:point]}.{digits[point:]}"
    if _DECIMAL_EXPONENT_MIN < point <= 0:
        return f"0.{'0' * -point}{digits}"
    exponent = point - 1
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{digits[0]}{tail}e{'+' if exponent > 0 else '-'}{abs(exponent)}"
