"""What the numbers of `mlpf.metrics.summary.Metrics` mean, for whoever reads them: `metrics.json` and reports carry it."""

DEFINITIONS = {
    "elements": "Per element that models see: efficiency = elements of a target class whose candidate has the same class; "
    "fake rate = candidates of a class whose target has another one, or none.",
    "particles": "Per particle: candidates matched one to one to the targets (Hungarian on sqrt((dpt/pt)^2 + dR^2), charged and neutral apart) "
    "within dR < 0.15 (charged: the own track, at any dR; between a track and a GSF element as neutral ones) and response 0.2-5. "
    "Efficiency = matched targets of a class; fake rate = unmatched candidates of a class; right class = matched targets whose candidate has their class. "
    "Bins are those of the target, for the fake rate of the candidate; hard and pileup: origin of the target, for the fake rate of the one on the candidate's "
    "element. Tails: further than 3 IQR from the median.",
    "jets": "Anti-kt 0.4 of the candidates against generated jets without neutrinos, unique matching, closest first, within dR < 0.1 (matched_wide: 0.2), "
    "pt > 20 GeV, |eta| < 2.5 (central) or 2.5-5 (forward). Response = reconstructed pt / generated pt; matched = share of generated jets, "
    "purity = share of reconstructed jets; the partner may have any pt above 3 GeV. Bins are those of the generated jet, for the purity of the reconstructed. "
    "Mass response where the generated mass is above 1 GeV.",
    "vertices": "Number of simulated pileup collisions of the event; events in which it is unknown, or 300 and more, are in none of these bins.",
    "met": "Missing transverse momentum of the candidates against the generated one: residuals of px and py together; "
    "ratio where the generated one is above 10 GeV. HT: central jets above 30 GeV, its ratio where there are generated ones.",
    "emd": "Energy mover's distance (arXiv:1902.02346, weighted by pt, R = 0.4) of an event's particles to the stable generator particles of the hard event, "
    "without neutrinos, of one event in ten: its mean, and the mean of its ratio to the generated sum of pt.",
    "multiplicity": "Candidates per event, and their difference to the number of targets.",
    "systems": "Rule-based PF: candidates of the dataset (those that found no element are not in it). Targets: what a model is trained on, "
    "the truth of elements and particles, the ceiling of jets and missing momentum. "
    "Pileup removed: without particles whose pileup probability (targets: energy fraction) is above 0.5; it is 0 where nothing is known.",
    "uncertainties": "68 % intervals: Clopper-Pearson for fractions, bootstrap for medians and IQR (p75 - p25) of at least 5 values, "
    "standard deviation / sqrt(n) for means. Quantiles are taken from fine bins, far narrower than the distributions. "
    "Particles and jets of one event are taken as independent: numbers of many thousands of particles scatter up to 1.6 times more than quoted, with pileup "
    "up to 3 times in some bins. Entries outside all bins, and at the last edge, count overall only; "
    "what is undefined, such as the response to a target without energy, counts nowhere.",
}
