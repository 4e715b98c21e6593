"""Make the small ntuples in `files/` with C++ vectors, as CMSSW writes them; needs ROOT (`pip install root`), run by hand.

    python tests/io/make_cpp_ntuples.py

`cpp_2026.root` holds every branch of `schema.NTUPLE` at ``pfana/pftree``; `cpp_2020.root` the 2020 ones at ``ana/pftree``. Entry ``e`` has ``(e * 3 + k) % 5``
members in the collection number ``k``, so that some events lack some collections; the values follow `value`, which the test repeats.
"""

import os
import sys
from pathlib import Path

FILES = Path(__file__).with_name("files")
NUM_EVENTS = 6


def count(event: int, collection_number: int) -> int:
    """Members of a collection in an event."""
    return (event * 3 + collection_number) % 5


def value(event: int, column_number: int, member: int) -> int:
    """Value of a column: small integers, exact in every type."""
    return (event * 7 + column_number * 3 + member) % 100


def main() -> None:
    import ROOT  # type: ignore[import-not-found]

    sys.path.insert(0, str(Path(__file__).parents[2]))
    from mlpf import schema

    FILES.mkdir(exist_ok=True)
    os.chdir(FILES)  # ROOT writes the name that it is given into the file
    ctype = {"float32": "float", "int32": "int", "uint64": "ULong64_t", "uint32": "unsigned int"}
    for version, tree_path in zip(("2026", "2020"), schema.TREE_PATHS, strict=True):
        declare, branch, fill = [], [], []
        for k, collection in enumerate(schema.NTUPLE.collections.values()):
            columns = [c for c in collection.columns if version in c.versions]
            numbers = {c.name: list(schema.NTUPLE.columns).index(c.name) for c in columns}
            pair = f"{collection.name}.first" in numbers
            if pair:
                declare.append(f"std::vector<std::pair<int,int>> v{k};")
                branch.append(f't.Branch("{collection.name}", &v{k});')
                a, b = numbers.pop(f"{collection.name}.first"), numbers.pop(f"{collection.name}.second")
                fill.append(f"v{k}.clear(); for (int m = 0; m < count(e, {k}); ++m) v{k}.push_back({{value(e, {a}, m), value(e, {b}, m)}});")
            for name, number in numbers.items():
                kind = ctype[schema.NTUPLE.columns[name].tree_dtype or schema.NTUPLE.columns[name].dtype]
                if collection.scalar:
                    declare.append(f"{kind} c{number};")
                    fill.append(f"c{number} = value(e, {number}, 0);")
                else:
                    declare.append(f"std::vector<{kind}> c{number};")
                    fill.append(f"c{number}.clear(); for (int m = 0; m < count(e, {k}); ++m) c{number}.push_back(value(e, {number}, m));")
                branch.append(f't.Branch("{name}", &c{number});')
        folder = tree_path.partition("/")[0]
        newline = "\n  "
        ROOT.gInterpreter.Declare(f"""
namespace v{version} {{
int count(int e, int k) {{ return (e * 3 + k) % 5; }}
int value(int e, int c, int m) {{ return (e * 7 + c * 3 + m) % 100; }}
void make(const char* path) {{
  TFile f(path, "RECREATE"); f.mkdir("{folder}")->cd(); TTree t("pftree", "");
  {newline.join(declare)}
  {newline.join(branch)}
  for (int e = 0; e < {NUM_EVENTS}; ++e) {{
  {newline.join(fill)}
  t.Fill(); }}
  t.Write();
}} }}""")
        getattr(ROOT, f"v{version}").make(f"cpp_{version}.root")


if __name__ == "__main__":
    main()
