"""A parametrised CMS-like detector: generator particles -> PFAnalysis ntuples.

What is simplified is said where it is: there is no Geant here. Charged particles follow exact helices, the tracker is a table of efficiencies and
resolutions, and showers are energy spots with measured profiles, dropped into cells, read out with noise and thresholds, and clustered the way particle
flow clusters them. Truth follows the energy: every link weight is a sum over cells, and `closure.energy_budget` says where the rest of
the generated energy went. Not simulated: multiple scattering and ionisation in the tracker, electromagnetic leakage behind the ECAL, muons in the HF, the
field behind the HCAL (a muon enters the HO straight behind its tower), detector cracks (a shower on the edge between ECAL barrel and endcap loses a few
percent). ``docs/simulation.md`` has the constants with their sources and what was measured.

Dimensions of the detector are compiled into the kernels of several modules; numba's cache does not see that: clear it (``*.nbi``) after changing one.
"""
