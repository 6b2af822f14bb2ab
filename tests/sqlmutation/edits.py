"""Which small changes a node of a parsed statement has: each is a few attributes with other values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pglast import ast, enums

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

OPERATORS: Final = {
    "=": "<>",
    "<>": "=",
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "+": "-",
    "-": "+",
    "*": "/",
    "/": "*",
}
FUNCTIONS: Final = {"min": "max", "max": "min", "bool_or": "bool_and", "bool_and": "bool_or"}
LEFT_ALONE: Final = frozenset({"typmods", "limitCount", "returningClause"})
"""A type's length is the schema's to hold, a LIMIT is dropped as a whole, and what is returned is read by name."""
A, B, LOCKS, WAITS = enums.A_Expr_Kind, enums.BoolExprType, enums.LockClauseStrength, enums.LockWaitPolicy
NULLS, ORDERS, NULL_TESTS, TRUTHS = enums.SortByNulls, enums.SortByDir, enums.NullTestType, enums.BoolTestType
TRUTH_TURNED: Final = {
    TRUTHS.IS_TRUE: TRUTHS.IS_NOT_TRUE,
    TRUTHS.IS_NOT_TRUE: TRUTHS.IS_TRUE,
    TRUTHS.IS_FALSE: TRUTHS.IS_NOT_FALSE,
    TRUTHS.IS_NOT_FALSE: TRUTHS.IS_FALSE,
    TRUTHS.IS_UNKNOWN: TRUTHS.IS_NOT_UNKNOWN,
    TRUTHS.IS_NOT_UNKNOWN: TRUTHS.IS_UNKNOWN,
}


class Edit(NamedTuple):
    """The attributes of a node with their new values, and the node whose line is named."""

    attributes: dict[str, Any]
    at: Any


def edits_of(node: Any, *, recursive: bool = False) -> Iterator[Edit]:
    """Yield the changes of one node, not of those in it. In a recursive query UNION is what ends it, so it stays."""
    make = MAKERS.get(type(node).__name__)
    if make is not None:
        for one in make(node):
            if not (recursive and one.attributes.get("all") is True):
                yield one


def without_each(node: Any, name: str) -> Iterator[Edit]:
    """Drop each member of a list of several."""
    members = getattr(node, name) or ()
    if len(members) > 1:
        for place, one in enumerate(members):
            yield Edit({name: (*members[:place], *members[place + 1 :])}, one)


def without(node: Any, *names: str) -> Iterator[Edit]:
    """Drop clauses that are there."""
    for name in names:
        if getattr(node, name):
            yield Edit({name: None}, node)


def without_condition(node: Any, name: str = "whereClause") -> Iterator[Edit]:
    """Drop a condition that is one; of several joined by AND each is dropped by itself."""
    condition = getattr(node, name)
    if condition is not None and not (isinstance(condition, ast.BoolExpr) and condition.boolop == B.AND_EXPR):
        yield Edit({name: None}, condition)


def of_logic(node: ast.BoolExpr) -> Iterator[Edit]:
    if node.boolop == B.NOT_EXPR:
        yield Edit({"boolop": B.AND_EXPR}, node)  # of one member: printed as that member
    else:
        yield from without_each(node, "args")


def of_operator(node: ast.A_Expr) -> Iterator[Edit]:
    name = node.name[-1].sval
    if node.kind == A.AEXPR_OP and name in OPERATORS and (node.lexpr is not None or name not in "+-"):
        yield Edit({"name": (ast.String(sval=OPERATORS[name]),)}, node)
    elif node.kind == A.AEXPR_OP_ANY and name == "=":
        yield Edit({"name": (ast.String(sval="<>"),), "kind": A.AEXPR_OP_ALL}, node)
    elif node.kind == A.AEXPR_OP_ALL and name == "<>":
        yield Edit({"name": (ast.String(sval="="),), "kind": A.AEXPR_OP_ANY}, node)
    elif node.kind == A.AEXPR_IN:
        yield Edit({"name": (ast.String(sval=OPERATORS[name]),)}, node)
        yield from without_each(node, "rexpr")
    elif node.kind == A.AEXPR_DISTINCT:
        yield Edit({"kind": A.AEXPR_NOT_DISTINCT}, node)
    elif node.kind == A.AEXPR_NOT_DISTINCT:
        yield Edit({"kind": A.AEXPR_DISTINCT}, node)


def of_query(node: ast.SelectStmt) -> Iterator[Edit]:
    yield from without(node, "lockingClause", "sortClause", "distinctClause", "limitCount")
    yield from without_condition(node)
    yield from without_condition(node, "havingClause")
    if node.op == enums.SetOperation.SETOP_UNION:
        yield Edit({"all": not node.all}, node.rarg)


def of_lock(node: ast.LockingClause) -> Iterator[Edit]:
    if node.strength != LOCKS.LCS_FORKEYSHARE:
        yield Edit({"strength": LOCKS.LCS_FORKEYSHARE}, node)
    if node.waitPolicy != WAITS.LockWaitBlock:
        yield Edit({"waitPolicy": WAITS.LockWaitBlock}, node)


def of_order(node: ast.SortBy) -> Iterator[Edit]:
    down = node.sortby_dir == ORDERS.SORTBY_DESC
    yield Edit({"sortby_dir": ORDERS.SORTBY_ASC if down else ORDERS.SORTBY_DESC}, node)
    if node.sortby_nulls != NULLS.SORTBY_NULLS_DEFAULT:
        first = node.sortby_nulls == NULLS.SORTBY_NULLS_FIRST
        yield Edit({"sortby_nulls": NULLS.SORTBY_NULLS_LAST if first else NULLS.SORTBY_NULLS_FIRST}, node)


def of_call(node: ast.FuncCall) -> Iterator[Edit]:
    yield from without(node, "agg_order", "agg_filter")
    if node.agg_distinct:
        yield Edit({"agg_distinct": False}, node)
    *schema, last = node.funcname
    if (other := FUNCTIONS.get(last.sval)) is not None:
        yield Edit({"funcname": (*schema, ast.String(sval=other))}, node)


def of_constant(node: ast.A_Const) -> Iterator[Edit]:
    if isinstance(node.val, ast.Integer):
        yield Edit({"val": ast.Integer(ival=node.val.ival + 1)}, node)
    elif isinstance(node.val, ast.Float):
        yield Edit({"val": ast.Float(fval=f"{node.val.fval}1")}, node)
    elif isinstance(node.val, ast.Boolean):
        yield Edit({"val": ast.Boolean(boolval=not node.val.boolval)}, node)


def of_insert(node: ast.InsertStmt) -> Iterator[Edit]:
    clause = node.onConflictClause
    if clause is not None and clause.action == enums.OnConflictAction.ONCONFLICT_NOTHING:
        yield Edit({"onConflictClause": None}, clause)


def of_conflict(node: ast.OnConflictClause) -> Iterator[Edit]:
    yield from without_each(node, "targetList")
    yield from without_condition(node)


def of_update(node: ast.UpdateStmt) -> Iterator[Edit]:
    yield from without_each(node, "targetList")
    yield from without_condition(node)


def of_case(node: ast.CaseExpr) -> Iterator[Edit]:
    yield from without_each(node, "args")
    yield from without(node, "defresult")


def of_join(node: ast.JoinExpr) -> Iterator[Edit]:
    if node.jointype == enums.JoinType.JOIN_LEFT:
        yield Edit({"jointype": enums.JoinType.JOIN_INNER}, node.rarg)


def of_least(node: ast.MinMaxExpr) -> Iterator[Edit]:
    least = node.op == enums.MinMaxOp.IS_LEAST
    yield Edit({"op": enums.MinMaxOp.IS_GREATEST if least else enums.MinMaxOp.IS_LEAST}, node)


def of_null_test(node: ast.NullTest) -> Iterator[Edit]:
    null = node.nulltesttype == NULL_TESTS.IS_NULL
    yield Edit({"nulltesttype": NULL_TESTS.IS_NOT_NULL if null else NULL_TESTS.IS_NULL}, node)


MAKERS: Final[dict[str, Callable[[Any], Iterator[Edit]]]] = {
    "A_Const": of_constant,
    "A_Expr": of_operator,
    "BoolExpr": of_logic,
    "BooleanTest": lambda node: iter([Edit({"booltesttype": TRUTH_TURNED[node.booltesttype]}, node)]),
    "CaseExpr": of_case,
    "CoalesceExpr": lambda node: without_each(node, "args"),
    "DeleteStmt": without_condition,
    "FuncCall": of_call,
    "InsertStmt": of_insert,
    "JoinExpr": of_join,
    "LockingClause": of_lock,
    "MinMaxExpr": of_least,
    "NullTest": of_null_test,
    "OnConflictClause": of_conflict,
    "SelectStmt": of_query,
    "SortBy": of_order,
    "UpdateStmt": of_update,
    "WindowDef": lambda node: without(node, "orderClause", "partitionClause"),
}
