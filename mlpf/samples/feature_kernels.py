"""Numba: moments and histograms of columns of elements, per group of elements.

Kernel and what it calls stay in one file: numba's cache does not see changes in another.
"""

import numba
import numpy as np

MANTISSA_BITS = 5  # bins of relative width 2^-5
OCTAVES_BELOW, OCTAVES_ABOVE = 24, 20  # magnitudes 2^-24 (6e-8) to 2^20 (1e6, the limit of the clean-up)
BINS_PER_SIGN = (OCTAVES_BELOW + OCTAVES_ABOVE) << MANTISSA_BITS
ZERO_BIN = BINS_PER_SIGN
NUM_BINS = 2 * BINS_PER_SIGN + 1

_BLOCK = 1024  # values at work in the innermost cache; a power of 2
# A float32: sign, 8 bits of exponent (127 for 1.0), 23 bits of mantissa.
_SHIFT = np.int32(23 - MANTISSA_BITS)
_FIRST = np.int32((127 - OCTAVES_BELOW) << MANTISSA_BITS)
_MAGNITUDE = np.uint32(0x7FFFFFFF)
_INFINITY = np.uint32(0x7F800000)
_SQRT_HALF = np.int32(0x3F3504F3)
_LN_2 = np.float32(0.6931471805599453)


@numba.njit(cache=True, nogil=True)
def group_elements(element_type: np.ndarray, offsets: np.ndarray, piece: np.ndarray, kept_types: np.ndarray, num_pieces: int) -> tuple[np.ndarray, np.ndarray]:
    """Order in which the elements of one piece and type are together (a counting sort).

    Args:
        element_type: ``(N,)`` integers.
        offsets: ``(B + 1,)`` event boundaries.
        piece: ``(B,)`` piece of each event, -1 for events to leave out.
        kept_types: ``(T,) bool`` types not to leave out.
        num_pieces: P.

    Returns:
        ``order (M,) uint32`` and ``starts (P * T + 1,) int64``, see `add_column`.
    """
    num_types = len(kept_types)
    starts = np.zeros(num_pieces * num_types + 1, np.int64)
    for event in range(len(piece)):
        if piece[event] >= 0:
            for i in range(offsets[event], offsets[event + 1]):
                starts[piece[event] * num_types + element_type[i] + 1] += kept_types[element_type[i]]
    starts[:] = np.cumsum(starts)
    order, place = np.empty(starts[-1], np.uint32), starts.copy()
    for event in range(len(piece)):
        if piece[event] >= 0:
            for i in range(offsets[event], offsets[event + 1]):
                if kept_types[element_type[i]]:
                    group = piece[event] * num_types + element_type[i]
                    order[place[group]] = i
                    place[group] += 1
    return order, starts


@numba.njit(cache=True, nogil=True)
def add_column(
    values: np.ndarray,
    order: np.ndarray,
    starts: np.ndarray,
    limit: float,
    counts: np.ndarray,
    moments: np.ndarray,
    extremes: np.ndarray,
    histogram: np.ndarray,
) -> None:
    """Add one column of elements to its statistics.

    Args:
        values: ``(N,) float32`` raw.
        order: ``(M,) uint32`` elements to add, those of one piece and type together.
        starts: ``(P * T + 1,)`` where in ``order`` the elements of each piece and type begin.
        limit: ``float32`` largest magnitude; larger ones count as it, non-finite values as 0.
        counts: ``(P, T) int64`` elements that are in the statistics already.
        moments: ``(P, T, 4) float64`` mean and sum of squared deviations, of x and of sign(x) log(1 + abs(x)); changed.
        extremes: ``(T, 2) float32`` lowest and highest value; changed.
        histogram: ``(T, NUM_BINS) int64``; changed.
    """
    num_types = counts.shape[1]
    buffer, logs, mantissas, exponents = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    bins, work = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.float64)
    for group in range(len(starts) - 1):
        start, stop = starts[group], starts[group + 1]
        if start == stop:
            continue
        piece, kind = divmod(group, num_types)
        moment, count, zeros = moments[piece, kind], counts[piece, kind], 0
        for first in range(start, stop, _BLOCK):
            filled = _gather(values, order[first : min(first + _BLOCK, stop)], buffer)
            zeros += min(_BLOCK, stop - first) - filled
            if filled:
                _limit(buffer, filled, limit, extremes[kind])
                _count(buffer, filled, bins, histogram[kind])
                mean, squares = _moments(buffer, filled, work)
                _combine(moment, 0, count, filled, mean, squares)
                _log(buffer, filled, logs, mantissas, exponents)
                mean, squares = _moments(logs, filled, work)
                _combine(moment, 2, count, filled, mean, squares)
                count += filled
        if zeros:
            histogram[kind, ZERO_BIN] += zeros
            extremes[kind, 0], extremes[kind, 1] = min(extremes[kind, 0], 0.0), max(extremes[kind, 1], 0.0)
            _combine(moment, 0, count, zeros, 0.0, 0.0)
            _combine(moment, 2, count, zeros, 0.0, 0.0)


@numba.njit(cache=True, nogil=True)
def _gather(values: np.ndarray, order: np.ndarray, buffer: np.ndarray) -> int:
    """Finite values other than 0 into the buffer; how many there are."""
    bits, out, filled = values.view(np.uint32), buffer.view(np.uint32), np.uint64(0)
    for i in range(len(order)):
        value = bits[order[i]]
        out[filled] = value
        filled += np.uint64(np.uint32((value & _MAGNITUDE) - np.uint32(1)) < np.uint32(_INFINITY - np.uint32(1)))
    return int(filled)


@numba.njit(cache=True, nogil=True)
def _limit(values: np.ndarray, filled: int, limit: float, extremes: np.ndarray) -> None:
    """Bring values to the limit and extremes up to date. Most blocks hold none beyond the extremes so far, which takes least time to find out."""
    low, high, beyond = extremes[0], extremes[1], 0
    for i in range(filled):
        beyond += (values[i] < low) | (values[i] > high)
    if beyond:
        for i in range(filled):
            values[i] = min(max(values[i], -limit), limit)
            low, high = min(low, values[i]), max(high, values[i])
        extremes[0], extremes[1] = low, high


@numba.njit(cache=True, nogil=True)
def _count(values: np.ndarray, filled: int, bins: np.ndarray, histogram: np.ndarray) -> None:
    bits = values.view(np.int32)
    for i in range(filled):
        step = (bits[i] & np.int32(0x7FFFFFFF)) >> _SHIFT
        step = min(max(step - _FIRST, np.int32(0)), np.int32(BINS_PER_SIGN - 1)) + np.int32(1)
        sign = bits[i] >> np.int32(31)  # 0 or -1
        bins[i] = np.int32(ZERO_BIN) + ((step ^ sign) - sign)
    for i in range(filled):
        histogram[bins[i]] += 1


@numba.njit(cache=True, nogil=True)
def _moments(values: np.ndarray, filled: int, work: np.ndarray) -> tuple[float, float]:
    """Mean and sum of squared deviations, in two passes: exact also where the deviations are tiny. ``work (_BLOCK,) float64`` is overwritten."""
    for i in range(filled):
        work[i] = np.float64(values[i])
    mean = _sum(work, filled) / filled
    for i in range(filled):
        deviation = np.float64(values[i]) - mean
        work[i] = deviation * deviation
    return mean, _sum(work, filled)


@numba.njit(cache=True, nogil=True)
def _sum(work: np.ndarray, filled: int) -> float:
    """Sum in pairs, in place: nearly as fast as in an order that the compiler is free to choose, which it does otherwise for cached code than for new."""
    size = 1
    while size < filled:
        size *= 2
    work[filled:size] = 0.0
    while size > 1:
        size //= 2
        low, high = work[:size], work[size : 2 * size]
        for i in range(size):
            low[i] += high[i]
    return work[0]


@numba.njit(cache=True, nogil=True, fastmath={"contract"}, error_model="numpy")
def _log(values: np.ndarray, filled: int, logs: np.ndarray, mantissas: np.ndarray, exponents: np.ndarray) -> None:
    """sign(x) log(1 + abs(x)) to 2e-7 of it, without branches; the last two arrays are for work.

    1 + abs(x) = 2^e m with m in [sqrt(1/2), sqrt(2)), and log m = 2 artanh((m - 1) / (m + 1)) as a series; where e is 0, m - 1 is x itself.
    """
    bits, mantissa_bits = logs.view(np.int32), mantissas.view(np.int32)
    for i in range(filled):
        logs[i] = np.float32(1.0) + abs(values[i])
    for i in range(filled):  # no loop reads and writes one array through two types, which would keep it from being vectorised
        exponent = np.int32(np.int32(bits[i] - _SQRT_HALF) >> np.int32(23))
        mantissa_bits[i] = np.int32(bits[i] - np.int32(exponent << np.int32(23)))
        exponents[i] = np.float32(exponent)
    for i in range(filled):
        f = abs(values[i]) if exponents[i] == np.float32(0.0) else mantissas[i] - np.float32(1.0)
        s = f / (np.float32(2.0) + f)
        z = s * s
        series = np.float32(1 / 3) + z * (np.float32(1 / 5) + z * (np.float32(1 / 7) + z * np.float32(1 / 9)))
        value = exponents[i] * _LN_2 + np.float32(2.0) * (s + s * z * series)
        logs[i] = -value if values[i] < np.float32(0.0) else value


@numba.njit(cache=True, nogil=True)
def _combine(moment: np.ndarray, at: int, count: int, added: int, mean: float, squares: float) -> None:
    """Chan, Golub, LeVeque 1979 (STAN-CS-79-773) eq. 2.1: mean and squared deviations of two sets together."""
    total = count + added
    difference = mean - moment[at]
    moment[at] += difference * (added / total)
    moment[at + 1] += squares + difference * difference * (count * (added / total))
