"""Cuts: a small language over columns, for people to type; parsed into NumPy calls, never evaluated as Python.

``element_type == TRACK and 1 < element_pt < 10``, ``abs(genjet_eta) < 2.5``, ``genmet_pt > 50``, ``target_class in (PHOTON, ELECTRON)``,
``count(element_type == TRACK) > 100``. Names are columns of the file's layout, ``num_<collection>`` for the entries of an event, and as constants the names of
element types, classes and kinds of edges. A cut on columns of a collection chooses entries of that collection; one on columns that an event has one value of
chooses events. The latter may stand beside the former in one cut: they then count for every entry of their event.
"""

from mlpf.selection.columns import MULTIPLICITY, collection_of, column_values, counted_by, multiplicities, per_entry
from mlpf.selection.cuts import Selection, select

__all__ = ["MULTIPLICITY", "Selection", "collection_of", "column_values", "counted_by", "multiplicities", "per_entry", "select"]
