// A session of ONNX Runtime that keeps the rules of cms::Ort::ONNXRuntime (PhysicsTools/ONNXRuntime in CMSSW) for a session on the CPU: what runs here, runs
// there.
#ifndef MLPF_RUNTIME_H
#define MLPF_RUNTIME_H

#include <onnxruntime_cxx_api.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace mlpf {

using FloatArrays = std::vector<std::vector<float>>;
using Shape = std::vector<std::int64_t>;

// One input or output of a graph as the file declares it; a free axis is -1.
struct Tensor {
  std::string name;
  bool isFloat;  // float32, the only type that CMSSW passes in and reads out
  Shape shape;
};

class OnnxRuntime {
 public:
  // One intra-op thread, everything else as ONNX Runtime has it. Throws std::runtime_error, here and in runInto(), in one line.
  explicit OnnxRuntime(const std::string& modelPath);

  // Runs the model once. Many threads may do so at the same time; CMSSW shares one session among its streams.
  //   inputNames, inputValues, inputShapes: in any order, every input of the graph among them; values stay where they are, in host memory.
  //   outputValues: all outputs, in the order of the graph; memory that they have is used again.
  // Where only the first axis of every output is free, outputs are written into arrays of their declared shape (so a graph that declares 400 elements fails for
  // any other number). Where another axis is free, ONNX Runtime allocates the outputs, and they are copied.
  void runInto(const std::vector<std::string>& inputNames, FloatArrays& inputValues, const std::vector<Shape>& inputShapes, FloatArrays& outputValues) const;

  const std::vector<Tensor>& inputs() const { return inputs_; }
  const std::vector<Tensor>& outputs() const { return outputs_; }

  // A value of the model's own metadata, empty where it has none.
  std::string metadata(const std::string& key) const;

 private:
  Ort::Value inputTensor(const Tensor& input, const std::vector<std::string>& names, FloatArrays& values, const std::vector<Shape>& shapes) const;
  Ort::Value outputTensor(const Tensor& output, std::int64_t batchSize, std::vector<float>& values) const;
  [[noreturn]] void fail(const std::string& problem) const;

  std::string path_;
  Ort::Env environment_;
  Ort::MemoryInfo memory_;
  std::unique_ptr<Ort::Session> session_;
  std::vector<Tensor> inputs_;
  std::vector<Tensor> outputs_;
  bool preallocated_ = false;
};

}  // namespace mlpf

#endif
