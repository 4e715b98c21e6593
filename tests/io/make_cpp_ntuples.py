"""Make the small ntuples in `files/` with C++ vectors, as CMSSW writes them; needs ROOT (`pip install root`), run by hand.

    python tests/io/make_cpp_ntuples.py

`cpp_2026.root` holds every branch of `schema.NTUPLE` at ``pfana/pftree``; `cpp_2020.root` the 2020 ones at ``ana/pftree``. Entry ``e`` has ``(e * 3 + k) % 5``
members in the collection number ``k``, so that some events lack some collections; the values follow `value`, which the test repeats.
`cpp_simulated.root` holds the three smallest events of ``data/ttbar.root``, `cpp_unsplit.root` two of them, neither split nor compressed, `cpp_ragged.root` 40
random ones whose baskets end at other events in every branch.
"""

import itertools
import os
from pathlib import Path

import numpy as np

from mlpf import schema
from mlpf.events import Events
from mlpf.io.ntuple import read_ntuple
from mlpf.random_ntuple import random_events

FILES = Path(__file__).with_name("files")
NUM_EVENTS = 6


def count(event: int, collection_number: int) -> int:
    """Members of a collection in an event."""
    return (event * 3 + collection_number) % 5


def value(event: int, column_number: int, member: int) -> int:
    """Value of a column: small integers, exact in every type."""
    return (event * 7 + column_number * 3 + member) % 100


def convert(events: Events, path: str, split: int, compression: int = 101, basket_sizes: tuple[int, ...] = (32000,)) -> None:
    """Write events as C++ vectors at ``pfana/pftree``.

    Args:
        events: what to write.
        path: file to write, seen from the current folder.
        split: split level of the branches, 0 or 99.
        compression: as ROOT counts them, 101 is ZLIB at level 1, its own choice.
        basket_sizes: buffer sizes of the branches, in turn; with several of them, all are filled to the brim.
    """
    import ROOT

    ROOT.gInterpreter.Declare("""#ifndef FILL
    #define FILL
    void fill(std::vector<float>& v, const float* a, int n) { v.assign(a, a + n); }
    void fill(std::vector<int>& v, const int* a, int n) { v.assign(a, a + n); }
    void fill(std::vector<std::pair<int, int>>& v, const int* a, const int* b, int n) { v.clear(); for (int i = 0; i < n; ++i) v.push_back({a[i], b[i]}); }
    #endif""")
    file = ROOT.TFile(path, "RECREATE", "", compression)
    file.mkdir("pfana").cd()
    tree, filled, sizes = ROOT.TTree("pftree", ""), [], itertools.cycle(basket_sizes)
    if len(basket_sizes) > 1:
        tree.SetAutoFlush(0)
    for name in dict.fromkeys(column.removesuffix(".first").removesuffix(".second") for column in events.columns):
        pair = [events[f"{name}.first"], events[f"{name}.second"]] if f"{name}.first" in events else []
        columns = pair or [events[name].astype(schema.NTUPLE.columns[name].tree_dtype or events[name].dtype)]
        if not pair and schema.NTUPLE.is_scalar(name):
            buffer = np.zeros(1, columns[0].dtype)
            tree.Branch(name, buffer, f"{name}/{'l' if buffer.itemsize == 8 else 'i'}")
            filled.append((buffer, columns, None))
        else:
            vector = ROOT.std.vector("std::pair<int,int>" if pair else {"f": "float", "i": "int"}[columns[0].dtype.kind])()
            tree.Branch(name, vector, next(sizes), split)
            filled.append((vector, columns, events.offsets[schema.NTUPLE.collection_of[f"{name}.first" if pair else name]]))
    for event in range(len(events)):
        for target, columns, edges in filled:
            if edges is None:
                target[0] = columns[0][event]
            else:
                num_values = int(edges[event + 1] - edges[event])
                ROOT.fill(target, *(np.append(values[edges[event] : edges[event + 1]], values.dtype.type(0)) for values in columns), num_values)
        tree.Fill()
    tree.Write()
    file.Close()


def main() -> None:
    import ROOT

    sample = read_ntuple(Path(__file__).parents[2] / "data" / "ttbar.root")
    events = sample.select(np.isin(np.arange(len(sample)), np.argsort(sample.counts("element"))[:3]))
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
    convert(events, "cpp_simulated.root", split=99)
    convert(events.slice(0, 2), "cpp_unsplit.root", split=0, compression=0)
    convert(random_events(np.random.default_rng(1), 40, 10), "cpp_ragged.root", split=99, basket_sizes=(600, 800, 1100, 3000))


if __name__ == "__main__":
    main()
