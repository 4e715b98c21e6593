"""What makes one job different from all others; `ntuple_chain.sh` appends this file and a call to the configuration that `make_configs.sh` wrote."""

import random

import FWCore.ParameterSet.Config as cms  # noqa: N813 (what all of CMSSW calls it)

MAX_SEED = 900_000_000  # of CLHEP's HepJamesRandom, the engine of most modules


def set_job(process, seed, num_events):
    """Seed every random engine, give the events identities of their own, and set their number.

    ``cmsRun`` starts from the same constants each time: a job that seeds the generator alone draws the same pileup collisions as every other job,
    and numbers its events run 1, luminosity block 1, event 1, 2, 3, ... like every other job.
    """
    rng = random.Random(seed)
    service = process.RandomNumberGeneratorService
    for name in sorted(service.parameterNames_()):
        engine = getattr(service, name)
        if hasattr(engine, "initialSeed"):
            engine.initialSeed = rng.randint(1, MAX_SEED)
    process.source.firstLuminosityBlock = cms.untracked.uint32(seed)
    process.maxEvents.input = num_events
