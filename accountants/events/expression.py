"""Events from text, such as `gaussian(1.1).poisson(0.01) * 100 + krr(k=10, eps0=1) * 5`; never evaluated."""

import ast
from collections.abc import Callable

from accountants import check
from accountants.events import Composed, Event, Repeat
from accountants.events.combinators import SeveralInside
from accountants.events.registry import METHODS, NAMES

_MAX_CHARACTERS = 100_000
_MAX_BRACKETS = 60  # open at the same time
_MAX_WORD = 40  # characters of a quoted argument


def parse(text: str) -> Event:
    """The event that an expression describes; `parse(str(event))` gives the event back.

    Args:
        text: at most 100000 characters and 60 open brackets. Names as in the ledger language (gaussian, krr,
            rr_topk, gnmax, pure_dp, approx_dp, ...) or as the classes; arguments by position or by name; a kind is
            written in quotes, orders and values in brackets.

    Returns:
        The event, its fields checked.

    Raises:
        TypeError: `text` is no string, or an argument has the wrong type.
        ValueError: the text is no such expression, or a value is out of range; the message shows what is allowed.

    Example:
        >>> parse("Gaussian(sigma=1.1).poisson(0.01) * 10_000 + krr(k=10, eps0=1) * 5")
        gaussian(1.1).poisson(0.01) * 10000 + krr(k=10, eps0=1) * 5
    """
    if not isinstance(text, str):
        raise TypeError(f"{check.given('text', text)} must be a string such as 'gaussian(1.1) * 3'")
    check.integer(**{"number of characters of the expression": len(text)}, at_most=_MAX_CHARACTERS)
    _require_shallow(text)
    try:
        tree = ast.parse(text.strip(), mode="eval")
        return _event(tree.body, text)
    except (SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"expression={_shown(text)} cannot be read ({type(error).__name__}); {_grammar()}") from None


def _event(node: ast.expr, text: str) -> Event:
    match node:
        case ast.BinOp(op=ast.Add()):
            return Composed(tuple(_event(term, text) for term in _terms(node)))
        case ast.BinOp(left=event, op=ast.Mult(), right=ast.Constant(value=count)):
            return Repeat(_count(count, text), _event(event, text))
        case ast.BinOp(left=ast.Constant(value=count), op=ast.Mult(), right=event):
            return Repeat(_count(count, text), _event(event, text))
        case ast.Call(func=ast.Name(id=name)):
            return _primitive(name, node, text)
        case ast.Call(func=ast.Attribute(value=event, attr=name)) if name in METHODS:
            return _built(getattr(_event(event, text), name), node, text)
        case ast.Call(func=ast.Attribute(attr=name)):
            raise ValueError(f"{_shown(text)}: .{name}(...) is unknown; {_grammar()}")
        case _:
            raise ValueError(f"{_shown(text)}: {_source(node, text)} is no event; {_grammar()}")


def _terms(node: ast.expr) -> list[ast.expr]:
    """The terms of a sum, left to right, without recursion: sums may be long."""
    terms: list[ast.expr] = []
    while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        terms.append(node.right)
        node = node.left
    return [node, *reversed(terms)]


def _primitive(name: str, call: ast.Call, text: str) -> Event:
    kind = NAMES.get(name)
    if kind is None:
        from difflib import get_close_matches

        known = sorted(NAMES)
        begun = [word for word in known if name and word.startswith(name.lower())]
        close = [*get_close_matches(name, known, n=1, cutoff=0.6), *begun]
        hint = f"did you mean {close[0]!r}? " if close else ""
        raise ValueError(f"{_shown(text)}: event {name[:40]!r} is unknown; {hint}known: {', '.join(known)}")
    if issubclass(kind, SeveralInside):
        call = ast.Call(func=call.func, args=[ast.Tuple(elts=call.args)], keywords=call.keywords)
    return _built(kind, call, text)


def _built(make: Callable[..., Event], call: ast.Call, text: str) -> Event:
    values = [_value(argument, text) for argument in call.args]
    named: dict[str, object] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in named:
            raise ValueError(f"{_shown(text)}: name every argument once; {_grammar()}")
        named[keyword.arg] = _value(keyword.value, text)
    # Wrong names and counts of arguments are the signature's to report, in its own words.
    try:
        return make(*values, **named)
    except TypeError as error:
        raise TypeError(f"{_shown(text)}: {_source(call.func, text)}: {error}") from None


def _value(node: ast.expr, text: str) -> object:
    match node:
        case ast.Constant(value=bool() | bytes() | complex()) | ast.Constant(value=None):
            raise ValueError(f"{_shown(text)}: {_source(node, text)} is no number; {_grammar()}")
        case ast.Constant(value=str() as word) if len(word) > _MAX_WORD:
            raise ValueError(f"{_shown(text)}: {_source(node, text)} is too long for the name of a kind; {_grammar()}")
        case ast.Constant(value=int() | float() | str() as literal):
            return literal
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Tuple(elts=elements):
            return tuple(_value(element, text) for element in elements)
        case _:
            return _event(node, text)


def _count(value: object, text: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{_shown(text)}: count={value!r} must be a whole number, written without a point")
    return value


def _require_shallow(text: str) -> None:
    depth = 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if depth > _MAX_BRACKETS:
            raise ValueError(f"expression={_shown(text)} has more than {_MAX_BRACKETS} open brackets; {_grammar()}")


def _source(node: ast.expr, text: str) -> str:
    return _shown(ast.get_source_segment(text.strip(), node) or type(node).__name__)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "...")


def _grammar() -> str:
    return (
        f"allowed: NAME(numbers), EVENT.METHOD(numbers) with METHOD one of {', '.join(METHODS)}, EVENT * count, "
        "EVENT + EVENT, parallel(EVENT, EVENT) and brackets"
    )
