#include "runtime.h"

#include <algorithm>
#include <filesystem>
#include <functional>
#include <numeric>
#include <sstream>
#include <stdexcept>

namespace mlpf {

namespace {

// Errors come as exceptions; CMSSW has ORT_LOGGING_LEVEL_ERROR, which would print them as well.
Ort::Env makeEnvironment() {
  if (OrtGetApiBase()->GetApi(ORT_API_VERSION) == nullptr) {
    throw std::runtime_error("ONNX Runtime " + std::string(OrtGetApiBase()->GetVersionString()) + " was found at run time, but this program was built for 1." +
                             std::to_string(ORT_API_VERSION) + "; build it again with the headers of that version");
  }
  return Ort::Env(ORT_LOGGING_LEVEL_FATAL, "mlpf");
}

// The first 200 characters of an error of ONNX Runtime, on one line.
std::string reason(const Ort::Exception& error) {
  std::istringstream words(error.what());
  std::string line, word;
  while (words >> word) line += (line.empty() ? "" : " ") + word;
  return line.substr(0, 200);
}

std::int64_t numValues(const Shape& shape) { return std::accumulate(shape.begin(), shape.end(), std::int64_t{1}, std::multiplies<>()); }

Tensor declared(const char* name, const Ort::TypeInfo& info) {
  if (info.GetONNXType() != ONNX_TYPE_TENSOR) return {name, false, {}};
  const auto tensor = info.GetTensorTypeAndShapeInfo();
  return {name, tensor.GetElementType() == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, tensor.GetShape()};
}

std::vector<const char*> names(const std::vector<Tensor>& tensors) {
  std::vector<const char*> result;
  for (const Tensor& tensor : tensors) result.push_back(tensor.name.c_str());
  return result;
}

bool onlyFirstAxisFree(const Tensor& tensor) { return std::find(tensor.shape.begin() + 1, tensor.shape.end(), -1) == tensor.shape.end(); }

}  // namespace

OnnxRuntime::OnnxRuntime(const std::string& modelPath)
    : path_(modelPath), environment_(makeEnvironment()), memory_(Ort::MemoryInfo::CreateCpu(OrtArenaAllocator, OrtMemTypeDefault)) {
  if (!std::filesystem::is_regular_file(modelPath)) fail("no such file");
  Ort::SessionOptions options;
  options.SetIntraOpNumThreads(1);
  try {
    session_ = std::make_unique<Ort::Session>(environment_, modelPath.c_str(), options);
  } catch (const Ort::Exception& error) {
    fail("ONNX Runtime " + std::string(OrtGetApiBase()->GetVersionString()) + " cannot load it (" + reason(error) + ")");
  }
  Ort::AllocatorWithDefaultOptions allocator;
  for (std::size_t i = 0; i < session_->GetInputCount(); ++i) {
    inputs_.push_back(declared(session_->GetInputNameAllocated(i, allocator).get(), session_->GetInputTypeInfo(i)));
  }
  for (std::size_t i = 0; i < session_->GetOutputCount(); ++i) {
    outputs_.push_back(declared(session_->GetOutputNameAllocated(i, allocator).get(), session_->GetOutputTypeInfo(i)));
    if (outputs_.back().shape.empty()) fail("output " + outputs_.back().name + " has no axes");
  }
  preallocated_ = std::all_of(outputs_.begin(), outputs_.end(), onlyFirstAxisFree);
}

void OnnxRuntime::runInto(const std::vector<std::string>& inputNames, FloatArrays& inputValues, const std::vector<Shape>& inputShapes,
                          FloatArrays& outputValues) const {
  std::vector<Ort::Value> inputs;
  for (const Tensor& input : inputs_) inputs.push_back(inputTensor(input, inputNames, inputValues, inputShapes));
  const std::int64_t batchSize = inputShapes.at(0).at(0);
  std::vector<Ort::Value> outputs;
  outputValues.resize(outputs_.size());
  for (std::size_t i = 0; i < outputs_.size(); ++i) {
    // ONNX Runtime allocates where there is no tensor yet.
    outputs.push_back(preallocated_ ? outputTensor(outputs_[i], batchSize, outputValues[i]) : Ort::Value(nullptr));
  }
  try {
    session_->Run(Ort::RunOptions(nullptr), names(inputs_).data(), inputs.data(), inputs.size(), names(outputs_).data(), outputs.data(), outputs.size());
  } catch (const Ort::Exception& error) {
    fail("fails on " + std::to_string(numValues(inputShapes.at(0))) + " values of " + inputNames.at(0) + " (" + reason(error) + ")");
  }
  if (preallocated_) return;
  for (std::size_t i = 0; i < outputs.size(); ++i) {
    const float* values = outputs[i].GetTensorData<float>();
    outputValues[i].assign(values, values + outputs[i].GetTensorTypeAndShapeInfo().GetElementCount());
  }
}

Ort::Value OnnxRuntime::inputTensor(const Tensor& input, const std::vector<std::string>& names, FloatArrays& values, const std::vector<Shape>& shapes) const {
  const auto found = std::find(names.begin(), names.end(), input.name);
  if (found == names.end()) fail("Input " + input.name + " is not provided!");
  std::vector<float>& array = values.at(found - names.begin());
  const Shape& shape = shapes.at(found - names.begin());
  if (static_cast<std::int64_t>(array.size()) != numValues(shape)) {
    fail("Input array " + input.name + " has a wrong size of " + std::to_string(array.size()) + ", expected " + std::to_string(numValues(shape)));
  }
  return Ort::Value::CreateTensor<float>(memory_, array.data(), array.size(), shape.data(), shape.size());
}

Ort::Value OnnxRuntime::outputTensor(const Tensor& output, std::int64_t batchSize, std::vector<float>& values) const {
  Shape shape = output.shape;
  shape.at(0) = batchSize;
  if (numValues(shape) <= 0) fail("Output " + output.name + " has invalid inferred size " + std::to_string(numValues(shape)));
  values.resize(numValues(shape));
  return Ort::Value::CreateTensor<float>(memory_, values.data(), values.size(), shape.data(), shape.size());
}

std::string OnnxRuntime::metadata(const std::string& key) const {
  Ort::AllocatorWithDefaultOptions allocator;
  const auto value = session_->GetModelMetadata().LookupCustomMetadataMapAllocated(key.c_str(), allocator);
  return value ? value.get() : "";
}

void OnnxRuntime::fail(const std::string& problem) const { throw std::runtime_error(path_ + ": " + problem); }

}  // namespace mlpf
