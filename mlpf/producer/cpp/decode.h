// Model outputs -> candidates, element by element, as MLPFProducer does it and mlpf.candidates in Python.
#ifndef MLPF_DECODE_H
#define MLPF_DECODE_H

#include <cstddef>
#include <optional>

namespace mlpf {

struct Candidate {
  std::size_t element;  // position among the elements of the event
  int pdgId;            // with sign; 0 for a tau on anything but a track, CMSSW's particle of type X
  int charge;
  float pt, eta, phi, energy;  // GeV, rad
  float score;                 // probability of being a particle, by the binary head
};

// The charge of an electron on a GSF track.
enum class GsfCharge {
  ofElement,  // that of the track, as in mlpf.candidates
  asInCmssw,  // -1, since MLPFProducer asks elements of type TRACK alone for their charge
};

// Widths of the model's outputs, by position.
inline constexpr int kNumOutputs = 3;
inline constexpr std::size_t kOutputWidths[kNumOutputs] = {2, 9, 5};

// The candidate of one element, or none.
//   x: its 55 raw features.
//   binary: (2) logits of no particle, particle.  pid: (9) logits of the classes.  p4: (5) log(pt / element pt), eta, sin phi, cos phi, log(E / element E).
std::optional<Candidate> decode(std::size_t element, const float* x, const float* binary, const float* pid, const float* p4, GsfCharge gsfCharge);

}  // namespace mlpf

#endif
