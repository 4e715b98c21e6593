// Reads raw features of events from a file. In CMSSW this is MLPFProducer's getElementFeatures, which fills them from the PF blocks.
//
// The file, little-endian throughout:
//   char[8]  magic             "MLPFEVTS"
//   uint32   version           1
//   uint32   features          55
//   uint32   number of events
//   and for each event
//     uint32   N               number of elements
//     float32  [N][55]         their features, row by row, in the order of element_features.h
#ifndef MLPF_READER_H
#define MLPF_READER_H

#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include "element_features.h"

namespace mlpf {

struct Event {
  std::vector<float> features;  // (N, 55), row by row

  std::size_t numElements() const { return features.size() / kNumFeatures; }
  const float* element(std::size_t i) const { return features.data() + i * kNumFeatures; }
};

class FeatureFile {
 public:
  // Opens the file and reads its header. Throws std::runtime_error, here and in next(): one line that names file, event and what was found.
  explicit FeatureFile(const std::string& path);

  // Reads the next event into `event`, whose memory is used again; false after the last one.
  bool next(Event& event);

  std::uint32_t numEvents() const { return numEvents_; }

 private:
  std::uint32_t readNumber();
  void readBytes(void* target, std::uint64_t size);
  void checkTypes(const Event& event) const;
  [[noreturn]] void fail(const std::string& problem) const;

  std::string path_;
  std::ifstream stream_;
  std::uint64_t bytesLeft_ = 0;
  std::uint32_t numEvents_ = 0;
  std::uint32_t numRead_ = 0;
};

}  // namespace mlpf

#endif
