"""The language of cuts: from text to functions of events."""

import ast
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal

import numpy as np

from mlpf.errors import ConfigError
from mlpf.events import Events
from mlpf.schema import CandidateClass, EdgeKind, ElementType, Layout
from mlpf.selection.columns import collection_of, column_values, per_entry

CONSTANTS: dict[str, int] = {str(member.name): int(member) for kind in (ElementType, CandidateClass, EdgeKind) for member in kind}
FUNCTIONS: dict[str, Callable[[Any], Any]] = {name: getattr(np, name) for name in ("abs", "sqrt", "exp", "log", "log10", "sin", "cos", "sinh", "cosh")}
COUNT = "count"
C_SIGNS = {"&&": "and", "||": "or", "!": "not"}
MAX_LENGTH = 2000  # characters; what is nested more deeply than Python can follow is refused, too

_ARITHMETIC: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
    ast.Pow: np.power,
}
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Lt: np.less,
    ast.LtE: np.less_equal,
    ast.Gt: np.greater,
    ast.GtE: np.greater_equal,
    ast.Eq: np.equal,
    ast.NotEq: np.not_equal,
}
_LOGICAL: dict[type[ast.boolop] | type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.And: np.logical_and,
    ast.BitAnd: np.logical_and,
    ast.Or: np.logical_or,
    ast.BitOr: np.logical_or,
}
_BITWISE: dict[type[ast.operator], Callable[[Any, Any], Any]] = {ast.BitAnd: np.bitwise_and, ast.BitOr: np.bitwise_or}
Kind = Literal["condition", "integer", "number"]


def counts_before(mask: np.ndarray) -> np.ndarray:
    """``(N + 1,) int64``: how many of the entries before each are true."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(mask, dtype=np.int64)])


@dataclass(frozen=True)
class Value:
    """A part of a cut: whose entries it has values for (None: events, or a constant), what they are, and how to get them."""

    collection: str | None
    kind: Kind
    evaluate: Callable[[Events], Any]


def compile_cut(text: str, layout: Layout) -> tuple[Value, frozenset[str]]:
    """A cut as a condition, and the columns that it reads.

    Raises:
        ConfigError: with the cut, the place in it, what is wrong there and the nearest column.
    """
    compiler = _Compiler(text, layout)
    value = compiler.compile()
    return value, frozenset(compiler.needs)


class _Compiler:
    """Walks the syntax tree of one cut; whatever is not known here is refused."""

    def __init__(self, text: str, layout: Layout) -> None:
        self.text = text
        self.layout = layout
        self.needs: set[str] = set()

    def compile(self) -> Value:
        try:
            if len(self.text) > MAX_LENGTH:
                raise MemoryError
            with warnings.catch_warnings():  # Python's parser has opinions on what is refused below
                warnings.simplefilter("ignore")
                tree = ast.parse(self.text, mode="eval").body
            value = self.condition(tree)
        except SyntaxError as error:
            raise self.error((error.offset or 1) - 1, f"not understood{_habits(self.text)}") from None
        except (RecursionError, MemoryError):
            raise ConfigError(f"cut '{self.text[:60]}...': too long or too deeply nested") from None
        except ValueError:
            raise ConfigError(f"cut {self.text[:60]!r}: holds characters that cannot be read") from None
        if not self.needs:
            raise self.error(0, "names no column")
        return value

    def error(self, place: int | ast.expr, problem: str) -> ConfigError:
        if isinstance(place, ast.expr):
            part = ast.get_source_segment(self.text, place) or ""
            place, problem = len(self.text.encode()[: place.col_offset].decode()), f"'{part}': {problem}"
        return ConfigError(f"cut '{self.text}': character {place + 1}: {problem}")

    def value(self, node: ast.expr) -> Value:
        match node:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return self.number(node, number)
            case ast.Name():
                return self.name(node, node.id)
            case ast.Attribute(value=ast.Name(id=first)) if f"{first}.{node.attr}" in self.layout.columns:
                return self.name(node, f"{first}.{node.attr}")
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()):
                return self.arithmetic(node, np.negative if isinstance(node.op, ast.USub) else np.positive, node.operand)
            case ast.UnaryOp(op=ast.Not() | ast.Invert()):
                return self.combine(node, "condition", np.logical_not, [self.condition(node.operand)])
            case ast.BinOp(op=ast.BitAnd() | ast.BitOr()):
                return self.both(node, type(node.op), [node.left, node.right])
            case ast.BinOp() if type(node.op) in _ARITHMETIC:
                return self.arithmetic(node, _ARITHMETIC[type(node.op)], node.left, node.right)
            case ast.BoolOp():
                join = _LOGICAL[type(node.op)]
                return self.combine(node, "condition", lambda *parts: reduce(join, parts), [self.condition(part) for part in node.values])
            case ast.Compare():
                return self.comparison(node)
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name == COUNT or name in FUNCTIONS:
                return self.count(argument) if name == COUNT else self.arithmetic(node, FUNCTIONS[name], argument)
            case ast.Call():
                raise self.error(node, f"no such function (known, of one argument each: {', '.join((COUNT, *FUNCTIONS))})")
        raise self.error(node, "not part of the language of cuts: columns, numbers, comparisons, and, or, not, arithmetic and a few functions")

    def number(self, node: ast.expr, value: float) -> Value:
        if isinstance(value, int) and value >= 2**63:
            raise self.error(node, "too large a number")
        return Value(None, "integer" if isinstance(value, int) else "number", lambda _: value)

    def name(self, node: ast.expr, name: str) -> Value:
        if name in CONSTANTS:
            return self.number(node, CONSTANTS[name])
        try:
            collection = collection_of(name, self.layout)
        except KeyError as error:
            raise self.error(node, str(error.args[0])) from None
        self.needs.add(name)
        if name in self.layout.columns and self.layout.dtype(name).kind == "f":
            return Value(collection, "number", lambda events: column_values(events, name).astype(np.float64))
        return Value(collection, "integer", lambda events: column_values(events, name))

    def condition(self, node: ast.expr) -> Value:
        return self.require_condition(node, self.value(node))

    def require_condition(self, node: ast.expr, value: Value) -> Value:
        if value.kind != "condition":
            raise self.error(node, "a number where a condition is needed, for example a comparison; put comparisons beside & and | in parentheses")
        return value

    def quantity(self, node: ast.expr) -> Value:
        value = self.value(node)
        if value.kind == "condition":
            raise self.error(node, "a condition where a number is needed; join conditions by 'and' or 'or'")
        return value

    def arithmetic(self, node: ast.expr, function: Callable[..., Any], *operands: ast.expr) -> Value:
        return self.combine(node, "number", lambda *values: function(*map(np.float64, values)), [self.quantity(operand) for operand in operands])

    def both(self, node: ast.BinOp, operator: type[ast.operator], operands: Sequence[ast.expr]) -> Value:
        """``&`` and ``|``: of two conditions, or of the bits of two integers."""
        values = [self.value(operand) for operand in operands]
        if all(value.kind == "integer" for value in values):
            return self.combine(node, "integer", lambda a, b: _BITWISE[operator](np.int64(a), np.int64(b)), values)
        for operand, value in zip(operands, values, strict=True):
            self.require_condition(operand, value)
        return self.combine(node, "condition", _LOGICAL[operator], values)

    def comparison(self, node: ast.Compare) -> Value:
        """``a < b <= c`` is ``a < b and b <= c``; ``a in (b, c)`` is ``a == b or a == c``; ``a not in (b, c)`` is ``a != b and a != c``."""
        match node:
            case ast.Compare(
                ops=[ast.In() | ast.NotIn() as operator], comparators=[ast.Tuple(elts=elements) | ast.List(elts=elements) | ast.Set(elts=elements)]
            ) if elements:
                values = [self.quantity(part) for part in (node.left, *elements)]
                join, compare = (np.logical_or, np.equal) if isinstance(operator, ast.In) else (np.logical_and, np.not_equal)
                return self.combine(node, "condition", lambda a, *rest: reduce(join, [compare(a, b) for b in rest]), values)
        functions = [_COMPARISONS[type(operator)] for operator in node.ops if type(operator) in _COMPARISONS]
        if len(functions) < len(node.ops):
            raise self.error(node, "compare by <, <=, >, >=, ==, !=, in (a, b) or not in (a, b)")
        for part in (node.left, *node.comparators):
            self.refuse_bare_bits(part)
        values = [self.quantity(part) for part in (node.left, *node.comparators)]

        def chain(*arrays: Any) -> Any:
            return reduce(np.logical_and, [compare(a, b) for compare, a, b in zip(functions, arrays[:-1], arrays[1:], strict=True)])

        return self.combine(node, "condition", chain, values)

    def refuse_bare_bits(self, node: ast.expr) -> None:
        """``a > 1 & b > 2`` means ``a > (1 & b) > 2``, which nobody wants: bits that are compared have to be in parentheses."""
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitAnd | ast.BitOr):
            source = self.text.encode()
            if not (source[: node.col_offset].rstrip().endswith(b"(") and source[node.end_col_offset :].lstrip().startswith(b")")):
                raise self.error(node, "put comparisons beside & and | in parentheses, or write 'and' and 'or'")

    def count(self, argument: ast.expr) -> Value:
        """Per event, the entries that a condition holds for."""
        condition = self.condition(argument)
        collection = condition.collection
        if collection is None:
            raise self.error(argument, f"about events; {COUNT}() needs a condition on the entries of a collection")
        return Value(None, "integer", lambda events: np.diff(counts_before(condition.evaluate(events))[events.collection_offsets(collection)]))

    def combine(self, node: ast.expr, kind: Kind, function: Callable[..., Any], values: Sequence[Value]) -> Value:
        """A function of values of one collection and of events, which count for all entries of the event."""
        collections = sorted({value.collection for value in values if value.collection is not None})
        if len(collections) > 1:
            raise self.error(node, f"mixes entries of {' and '.join(collections)}; cut on one collection at a time, or on {COUNT}(...) of the other")
        collection = collections[0] if collections else None

        def evaluate(events: Events) -> Any:
            arrays = [(value, value.evaluate(events)) for value in values]
            return function(*(per_entry(events, array, collection) if value.collection is None and np.ndim(array) else array for value, array in arrays))

        return Value(collection, kind, evaluate)


def _habits(text: str) -> str:
    """A hint for those who write cuts as in C."""
    wrong = next((sign for sign in C_SIGNS if sign in text.replace("!=", "")), None)
    return f"; write '{C_SIGNS[wrong]}' instead of {wrong}" if wrong else ""
