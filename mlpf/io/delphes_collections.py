"""Which collections and members a Delphes file has."""

from collections.abc import Mapping, Sequence

import uproot

from mlpf.io import delphes_schema as delphes
from mlpf.io.tables import Rules, possible

Branches = Mapping[str, Mapping[str, uproot.TBranch]]  # collection -> member -> branch


def find_members(tree: uproot.TTree) -> dict[str, dict[str, uproot.TBranch]]:
    """Collection -> member -> branch; where two collections have one name, the first counts (as in ``TTree::GetBranch``)."""
    members: dict[str, dict[str, uproot.TBranch]] = {}
    for branch in tree.branches:
        if branch.branches:
            members.setdefault(branch.name, {member.name.removeprefix(f"{branch.name}."): member for member in branch.branches})
    return members


def has_member(branches: Branches, path: str) -> bool:
    """Whether the file has ``collection.member``."""
    collection, _, member = path.partition(".")
    return member in branches.get(collection, {})


def first_of(branches: Branches, names: Sequence[str]) -> str:
    """The first collection that the file has, or an empty name."""
    return next((name for name in names if name in branches), "")


def first_group(branches: Branches, groups: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """What the file has of the first group of which it has anything."""
    present = [tuple(name for name in group if name in branches) for group in groups]
    return next((group for group in present if group), ())


def columns_of(rules: Rules, collection: str, branches: Branches) -> dict[str, str]:
    """Columns that rules can make of a collection, and the members they are made of."""
    if collection not in branches:
        return {}
    members = branches[collection]
    derived = {"energy": "/".join(delphes.TOWER_ENERGIES), "em": ""} if set(delphes.TOWER_ENERGIES) <= set(members) else {}
    texts = {name: [derived.get(member, member) for member in r.members] for name, r in possible(rules, {**members, **derived}).items()}
    return {name: ", ".join(f"{collection}.{member}" for member in text if member) or collection for name, text in texts.items()}
