#include "producer.h"

#include <algorithm>
#include <stdexcept>

namespace mlpf {

namespace {

const std::vector<std::string> kInputNames = {"Xfeat_normed", "mask"};

// Preshower and bremsstrahlung elements never reach the model.
bool isSelected(const float* element) {
  const float type = element[feature::kType];
  return type != PS1 && type != PS2 && type != BREM;
}

// ["type", "pt", ...], as mlpf export writes the features of a model into its metadata.
std::string featureList() {
  std::string list;
  for (const std::string_view name : kFeatureNames) list += (list.empty() ? "[\"" : ", \"") + std::string(name) + "\"";
  return list + "]";
}

}  // namespace

MLPFProducer::MLPFProducer(const std::string& modelPath, GsfCharge gsfCharge) : runtime_(modelPath), gsfCharge_(gsfCharge) {
  try {
    checkModel();
  } catch (const std::runtime_error& error) {
    throw std::runtime_error(modelPath + ": not a model for this consumer: " + error.what() + "; export one with mlpf export --target cmssw");
  }
}

void MLPFProducer::checkModel() const {
  for (const Tensor& input : runtime_.inputs()) {
    if (std::find(kInputNames.begin(), kInputNames.end(), input.name) == kInputNames.end()) throw std::runtime_error("input " + input.name + " is unknown");
    if (!input.isFloat) throw std::runtime_error("input " + input.name + " is not float32");
  }
  if (runtime_.inputs().size() != kInputNames.size()) throw std::runtime_error("inputs Xfeat_normed and mask are expected");
  const std::vector<Tensor>& outputs = runtime_.outputs();
  if (outputs.size() < kNumOutputs) throw std::runtime_error(std::to_string(outputs.size()) + " outputs, expected at least " + std::to_string(kNumOutputs));
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const std::string name = "output " + std::to_string(i) + " (" + outputs[i].name + ")";
    if (!outputs[i].isFloat) throw std::runtime_error(name + " is not float32");
    if (i < kNumOutputs && (outputs[i].shape.size() != 3 || outputs[i].shape[2] != static_cast<std::int64_t>(kOutputWidths[i]))) {
      throw std::runtime_error(name + " is not of shape (1, N, " + std::to_string(kOutputWidths[i]) + ")");
    }
  }
  const std::string features = runtime_.metadata("mlpf.features");
  if (!features.empty() && features != featureList()) throw std::runtime_error("made for other features or another order of them");
}

std::vector<Candidate> MLPFProducer::produce(const Event& event) {
  selected_.clear();
  for (std::size_t i = 0; i < event.numElements(); ++i) {
    if (isSelected(event.element(i))) selected_.push_back(i);
  }
  std::vector<Candidate> candidates;
  if (selected_.empty()) return candidates;

  inputs_[0].clear();
  for (const std::size_t i : selected_) inputs_[0].insert(inputs_[0].end(), event.element(i), event.element(i) + kNumFeatures);
  inputs_[1].assign(selected_.size(), 1.0f);  // every element is real: exactly N of them, no padding
  const auto numSelected = static_cast<std::int64_t>(selected_.size());
  runtime_.runInto(kInputNames, inputs_, {{1, numSelected, kNumFeatures}, {1, numSelected}}, outputs_);
  for (int i = 0; i < kNumOutputs; ++i) {
    if (outputs_[i].size() != selected_.size() * kOutputWidths[i]) throw std::runtime_error("the model gave outputs for another number of elements");
  }

  for (std::size_t row = 0; row < selected_.size(); ++row) {
    const auto output = [&](int i) { return outputs_[i].data() + row * kOutputWidths[i]; };
    const auto candidate = decode(selected_[row], event.element(selected_[row]), output(0), output(1), output(2), gsfCharge_);
    if (candidate) candidates.push_back(*candidate);
  }
  return candidates;
}

}  // namespace mlpf
