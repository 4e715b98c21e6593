#include "decode.h"

#include <algorithm>
#include <cmath>

#include "element_features.h"

namespace mlpf {

namespace {

constexpr int kPdgIds[] = {0, 211, 130, 1, 2, 22, 11, 13, 15};  // classes of the pid head; 1 and 2 are hadronic and electromagnetic energy in the HF
constexpr double kPionMass = 0.13957;                           // GeV; charged pion, PDG 2024, and the value in MLPFProducer

// CMSSW asks whether trackRef has a muonRef; that fills these features.
bool hasMuon(const float* x) { return x[feature::kMuonType] != 0 || x[feature::kMuonDtHits] != 0 || x[feature::kMuonCscHits] != 0; }

// pdgId without sign, 0 where the element yields no candidate.
int candidateClass(const float* x, const float* binary, const float* pid) {
  if (!(binary[1] > binary[0])) return 0;  // strictly: NaN is no particle either
  int id = kPdgIds[std::max_element(pid, pid + kOutputWidths[1]) - pid];
  if (id == 0) return 0;
  const int type = static_cast<int>(x[feature::kType]);
  if (type != TRACK && (id == 13 || id == 211)) id = 130;
  if (type == TRACK && ((id == 13 && !hasMuon(x)) || id == 15)) id = 211;
  // CMSSW makes 211 on a track of a displaced vertex 130; features do not tell such tracks.
  if (type == HFEM) id = 2;
  if (type == HFHAD) id = 1;
  return id;
}

int candidateCharge(const float* x, int id, GsfCharge gsfCharge) {
  if (id != 211 && id != 11 && id != 13) return 0;
  const bool asked = x[feature::kType] == TRACK || gsfCharge == GsfCharge::ofElement;
  return asked && x[feature::kCharge] > 0 ? 1 : -1;
}

// A positive electron is -11, a negative charged hadron -211.
int signedPdgId(int id, int charge) {
  if (id == 15) return 0;
  if (id == 11 || id == 13) return -id * charge;
  return id == 211 ? id * charge : id;
}

}  // namespace

std::optional<Candidate> decode(std::size_t element, const float* x, const float* binary, const float* pid, const float* p4, GsfCharge gsfCharge) {
  const int id = candidateClass(x, binary, pid);
  if (id == 0) return std::nullopt;
  const int charge = candidateCharge(x, id, gsfCharge);
  // A track keeps its direction.
  const bool isTrack = x[feature::kType] == TRACK;
  const float eta = isTrack ? x[feature::kEta] : p4[1];
  const float sinPhi = isTrack ? x[feature::kSinPhi] : p4[2];
  const float cosPhi = isTrack ? x[feature::kCosPhi] : p4[3];
  const double pt = std::exp(static_cast<double>(p4[0])) * x[feature::kPt];
  // setMass() in CMSSW makes the energy again from pt, eta and mass, so p4[4] is not used.
  const double energy = std::hypot(pt * std::cosh(static_cast<double>(eta)), id == 211 ? kPionMass : 0.0);
  const double score = 1.0 / (1.0 + std::exp(static_cast<double>(binary[0]) - binary[1]));
  return Candidate{
      element, signedPdgId(id, charge), charge, static_cast<float>(pt), eta, std::atan2(sinPhi, cosPhi), static_cast<float>(energy), static_cast<float>(score)};
}

}  // namespace mlpf
