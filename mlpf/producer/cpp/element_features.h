// What one row of the model's input means: names and order of the 55 raw features, and the types of elements.
#ifndef MLPF_ELEMENT_FEATURES_H
#define MLPF_ELEMENT_FEATURES_H

#include <array>
#include <cstddef>
#include <stdexcept>
#include <string_view>

namespace mlpf {

// The order of ElementFeatures::as_array() in MLPFProducer, and of the columns of the model's input. Units: GeV, cm, rad, ns. What an element lacks is 0.
// clang-format off
inline constexpr std::array<std::string_view, 55> kFeatureNames = {
    "type", "pt", "eta", "sin_phi", "cos_phi", "energy", "layer", "depth", "charge", "trajpoint", "eta_ecal", "phi_ecal", "eta_hcal", "phi_hcal",
    "muon_dt_hits", "muon_csc_hits", "muon_type", "px", "py", "pz", "deltap", "sigmadeltap", "gsf_electronseed_trkorecal", "gsf_electronseed_dnn1",
    "gsf_electronseed_dnn2", "gsf_electronseed_dnn3", "gsf_electronseed_dnn4", "gsf_electronseed_dnn5", "num_hits", "cluster_flags", "corr_energy",
    "corr_energy_err", "vx", "vy", "vz", "pterror", "etaerror", "phierror", "lambda", "lambdaerror", "theta", "thetaerror", "time", "timeerror",
    "etaerror1", "etaerror2", "etaerror3", "etaerror4", "phierror1", "phierror2", "phierror3", "phierror4", "sigma_x", "sigma_y", "sigma_z"
};
// clang-format on
inline constexpr std::size_t kNumFeatures = kFeatureNames.size();

// Position of a feature in its row, found by the compiler: no column is addressed by a number.
constexpr std::size_t featureIndex(std::string_view name) {
  for (std::size_t i = 0; i < kNumFeatures; ++i) {
    if (kFeatureNames[i] == name) return i;
  }
  throw std::logic_error("no such feature");
}

namespace feature {
inline constexpr std::size_t kType = featureIndex("type");
inline constexpr std::size_t kPt = featureIndex("pt");
inline constexpr std::size_t kEta = featureIndex("eta");
inline constexpr std::size_t kSinPhi = featureIndex("sin_phi");
inline constexpr std::size_t kCosPhi = featureIndex("cos_phi");
inline constexpr std::size_t kCharge = featureIndex("charge");
inline constexpr std::size_t kMuonDtHits = featureIndex("muon_dt_hits");
inline constexpr std::size_t kMuonCscHits = featureIndex("muon_csc_hits");
inline constexpr std::size_t kMuonType = featureIndex("muon_type");
}  // namespace feature

// reco::PFBlockElement::Type, the value of feature "type".
enum ElementType { NONE = 0, TRACK = 1, PS1 = 2, PS2 = 3, ECAL = 4, HCAL = 5, GSF = 6, BREM = 7, HFEM = 8, HFHAD = 9, SC = 10, HO = 11 };
inline constexpr int kNumElementTypes = 12;

}  // namespace mlpf

#endif
