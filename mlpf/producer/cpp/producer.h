// One event in, its candidates out: MLPFProducer::produce without the framework.
#ifndef MLPF_PRODUCER_H
#define MLPF_PRODUCER_H

#include <string>
#include <vector>

#include "decode.h"
#include "reader.h"
#include "runtime.h"

namespace mlpf {

class MLPFProducer {
 public:
  // Throws std::runtime_error where the file is no model for this consumer, which MLPFProducer would find out at the first event, or never.
  explicit MLPFProducer(const std::string& modelPath, GsfCharge gsfCharge = GsfCharge::ofElement);

  // Candidates in the order of their elements. An event without an element for the model never reaches it: fused attention may die of one (SIGFPE).
  std::vector<Candidate> produce(const Event& event);

  // Positions of the elements that the last event gave to the model.
  const std::vector<std::size_t>& selected() const { return selected_; }

 private:
  void checkModel() const;

  OnnxRuntime runtime_;
  GsfCharge gsfCharge_;
  std::vector<std::size_t> selected_;
  FloatArrays inputs_{2};  // kept from event to event, so that their memory is used again
  FloatArrays outputs_;
};

}  // namespace mlpf

#endif
