"""What a contract check found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlpf.errors import ModelError


@dataclass(frozen=True)
class Check:
    """One clause of the contract.

    Attributes:
        name: what is required, in a few words.
        problem: why it is not so, with the value found; empty where it is.
        measured: numbers behind a clause that holds.
    """

    name: str
    problem: str = ""
    measured: str = ""

    @property
    def passed(self) -> bool:
        """Whether the clause holds."""
        return not self.problem


@dataclass(frozen=True)
class ContractReport:
    """All clauses that were checked on a file.

    Attributes:
        path: the file.
        opset: version of the default operator set, 0 where the file could not be parsed.
        ir_version: version of the file format, 0 likewise.
        checks: in the order they were made; behaviour is left out where the file itself is wrong already.
    """

    path: Path
    opset: int
    ir_version: int
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether all clauses hold."""
        return all(check.passed for check in self.checks)

    def require(self) -> None:
        """Raise `ModelError` naming the first clause that does not hold and how many others."""
        failed = [check for check in self.checks if not check.passed]
        if failed:
            more = f" (and {len(failed) - 1} more: {', '.join(check.name for check in failed[1:])})" if len(failed) > 1 else ""
            raise ModelError(f"{self.path}: breaks the consumer's contract: {failed[0].name}: {failed[0].problem}{more}")

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"passed": self.passed, "checks": [vars(check) for check in self.checks]}
