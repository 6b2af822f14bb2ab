"""Which changes there are: cosmic-ray's operators, on the modules that are looked at."""

from __future__ import annotations

import ast
import hashlib
import pickle
from collections import Counter
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from mutants.planted import ROOT
from mutants.small_change import SmallChange

TARGETS: Final[dict[str, tuple[str, ...]]] = {
    "consumer/adoption.py": ("tests/unit/test_grouping.py",),
    "consumer/verdict.py": ("tests/unit/test_verdict.py", "tests/unit/test_echoes.py"),
    "providers/core/payments.py": ("tests/unit/test_payment_facts.py", "tests/unit/test_providers_core.py"),
    "consumer/fold.py": ("tests/unit/test_fold_rules.py", "tests/unit/test_fold.py"),
    "consumer/plain.py": ("tests/unit/test_plain_rules.py",),
    "consumer/children.py": (
        *("tests/unit/test_children_rules.py", "tests/unit/test_fold_rules.py", "tests/unit/test_fold.py"),
    ),
    "consumer/refunds.py": ("tests/unit/test_refund_rules.py",),
    "consumer/payment_attempts.py": ("tests/unit/test_payment_attempts.py",),
    "consumer/planner.py": (
        *("tests/unit/test_planner_rules.py", "tests/unit/test_commands.py", "tests/unit/test_unsigned_ids.py"),
        "tests/unit/test_orders.py",
        *("tests/unit/test_planner.py", "tests/unit/test_grouping.py"),
    ),
    "consumer/copies.py": ("tests/unit/test_copies.py", "tests/unit/test_planner.py"),
    "consumer/entries.py": ("tests/unit/test_entries.py", "tests/unit/test_planner.py"),
    "consumer/merging.py": ("tests/unit/test_merging.py", "tests/unit/test_planner.py"),
    "consumer/disputes.py": ("tests/unit/test_disputes.py",),
    "consumer/grouping.py": ("tests/unit/test_grouping_rules.py", "tests/unit/test_grouping.py"),
    "providers/core/proof.py": (
        "tests/unit/test_proof.py",
        "tests/unit/test_providers_core.py",
        "tests/contract/test_vectors.py",
    ),
    "providers/core/body_mac.py": ("tests/unit/test_providers_core.py", "tests/contract/test_vectors.py"),
}
"""The core of the money and the comparison of signatures, and the tests that should notice, quick ones first."""
UNREAD: Final[tuple[str, ...]] = ()
"""Of these, what no test notices has not been read yet: they are run by name alone, and hold nothing."""
OPERATORS: Final = tuple(
    f"core/{name}"
    for name in (
        *("AddNot", "ReplaceTrueWithFalse", "ReplaceFalseWithTrue", "ReplaceAndWithOr", "ReplaceOrWithAnd"),
        *("ReplaceBreakWithContinue", "ReplaceContinueWithBreak", "ExceptionReplacer", "NumberReplacer"),
        *("ZeroIterationForLoop", "ReplaceUnaryOperator_Delete_Not", "ReplaceUnaryOperator_USub_UAdd"),
        *(f"ReplaceBinaryOperator_{pair}" for pair in ("Add_Sub", "Sub_Add", "Mul_FloorDiv", "FloorDiv_Mul")),
        *(f"ReplaceBinaryOperator_{pair}" for pair in ("Mod_Add", "Pow_Mul")),
        *(f"ReplaceComparisonOperator_{pair}" for pair in ("Eq_NotEq", "NotEq_Eq", "Is_IsNot", "IsNot_Is")),
        *(f"ReplaceComparisonOperator_{pair}" for pair in ("Lt_LtE", "Lt_GtE", "LtE_Lt", "LtE_Gt")),
        *(f"ReplaceComparisonOperator_{pair}" for pair in ("Gt_GtE", "Gt_LtE", "GtE_Gt", "GtE_Lt")),
    )
)
"""Those that a person could do by mistake. `X | None` in an annotation is no sum, so `|` is left alone."""

FOR_TYPES: Final = "if TYPE_CHECKING:"
"""What is imported for types alone may as well be imported; that nothing sets what is frozen is mypy's to see."""


@dataclass(frozen=True)
class CodeChange(SmallChange):
    """One change of a module, by an operator: it counts among those of its operator on such a line."""

    operator: str

    @property
    def key(self) -> tuple[str, str, str, int]:
        return self.path, self.operator.removeprefix("core/"), self.before, self.nth

    @property
    def digest(self) -> str:
        """Return what its outcome depends on: the changed module and the tests."""
        return self.digest_with(*TARGETS[self.path])

    def digest_with(self, *tests: str) -> str:
        """Return the digest of the changed module and of some files of tests."""
        return hashlib.sha256((self.text + "".join((ROOT / name).read_text() for name in tests)).encode()).hexdigest()


@cache
def changes_of(module: str) -> tuple[CodeChange, ...]:
    """Make all changes of a module; those that Python does not read, or reads as it did before, are none."""
    from cosmic_ray.ast import get_ast
    from cosmic_ray.mutating import MutationVisitor
    from cosmic_ray.plugins import get_operator

    source = (ROOT / module).read_text()
    same, parsed = ast.dump(without_notes(source)), pickle.dumps(get_ast(source))
    seen: Counter[tuple[str, str]] = Counter()
    found: list[CodeChange] = []
    for name in OPERATORS:
        operator = get_operator(name)()
        occurrence = 0
        while True:
            visitor = MutationVisitor(occurrence, operator)
            text = visitor.walk(pickle.loads(parsed)).get_code()
            if not visitor.mutation_applied:
                break
            occurrence += 1
            if (change := _change(module, name, source, text, same)) is None:
                continue
            place = change.operator, change.before
            nth, seen[place] = seen[place], seen[place] + 1
            found.append(replace(change, nth=nth))
    return tuple(found)


def _change(module: str, name: str, source: str, text: str, same: str) -> CodeChange | None:
    try:
        if ast.dump(without_notes(text)) == same:
            return None
    except SyntaxError:
        return None
    old, new = source.splitlines(), text.splitlines()
    first = next(number for number, (one, other) in enumerate(zip(old, new, strict=False)) if one != other)
    while old and new and old[-1] == new[-1]:
        old.pop()
        new.pop()
    before, after = (" ".join(" ".join(lines[first:]).split()) for lines in (old, new))
    if before == FOR_TYPES or (before.startswith("class ") and "frozen=" in before):
        return None
    return CodeChange(module, first + 1, before, after, 0, text, name)


def without_notes(source: str) -> ast.Module:
    """Read a module without its annotations: they are never looked at when it runs, so a change of one is none."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.AnnAssign):
            node.annotation = ast.Constant(None)
        if isinstance(node, ast.arg):
            node.annotation = None
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
    return tree
