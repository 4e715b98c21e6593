#include "reader.h"

#include <array>
#include <cmath>
#include <filesystem>
#include <stdexcept>
#include <string_view>

namespace mlpf {

namespace {

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the file is little-endian: swap the bytes of what is read on this machine");
static_assert(sizeof(float) == 4);

constexpr std::string_view kMagic = "MLPFEVTS";
constexpr std::uint32_t kVersion = 1;

}  // namespace

FeatureFile::FeatureFile(const std::string& path) : path_(path), stream_(path, std::ios::binary) {
  if (!stream_ || !std::filesystem::is_regular_file(path)) fail("no such file, or not a readable one");
  bytesLeft_ = std::filesystem::file_size(path);
  std::array<char, kMagic.size()> magic{};
  if (bytesLeft_ >= magic.size()) readBytes(magic.data(), magic.size());
  if (std::string_view(magic.data(), magic.size()) != kMagic) fail("not a file of features; mlpf.producer.feature_file writes them");
  const std::uint32_t version = readNumber();
  if (version != kVersion) fail("version " + std::to_string(version) + " is unknown; this program reads version " + std::to_string(kVersion));
  const std::uint32_t numFeatures = readNumber();
  if (numFeatures != kNumFeatures) fail(std::to_string(numFeatures) + " features per element, expected " + std::to_string(kNumFeatures));
  numEvents_ = readNumber();
}

bool FeatureFile::next(Event& event) {
  if (numRead_ == numEvents_) {
    if (bytesLeft_ > 0) fail(std::to_string(bytesLeft_) + " bytes after the last of " + std::to_string(numEvents_) + " events");
    return false;
  }
  const std::uint64_t numElements = readNumber();
  const std::uint64_t size = numElements * kNumFeatures * sizeof(float);
  // Before any memory is asked for: a damaged number of elements may be anything.
  if (size > bytesLeft_) {
    fail("event " + std::to_string(numRead_) + ": " + std::to_string(numElements) + " elements need " + std::to_string(size) + " bytes, the file has " +
         std::to_string(bytesLeft_) + " more; it is cut off or damaged");
  }
  event.features.resize(numElements * kNumFeatures);
  readBytes(event.features.data(), size);
  checkTypes(event);
  ++numRead_;
  return true;
}

std::uint32_t FeatureFile::readNumber() {
  std::uint32_t number = 0;
  if (bytesLeft_ < sizeof(number)) fail("ends after " + std::to_string(numRead_) + " events; it is cut off");
  readBytes(&number, sizeof(number));
  return number;
}

void FeatureFile::readBytes(void* target, std::uint64_t size) {
  if (!stream_.read(static_cast<char*>(target), static_cast<std::streamsize>(size))) fail("cannot be read");
  bytesLeft_ -= size;
}

// Other features may be anything, NaN and infinity too: CMSSW passes them on as they are, and the model replaces them. The type decides what a candidate
// becomes.
void FeatureFile::checkTypes(const Event& event) const {
  for (std::size_t i = 0; i < event.numElements(); ++i) {
    const float type = event.element(i)[feature::kType];
    if (!(type >= 0 && type < kNumElementTypes && type == std::floor(type))) {
      fail("event " + std::to_string(numRead_) + ": element " + std::to_string(i) + ": type " + std::to_string(type) + " is not a PF element type (0 to " +
           std::to_string(kNumElementTypes - 1) + ")");
    }
  }
}

void FeatureFile::fail(const std::string& problem) const { throw std::runtime_error(path_ + ": " + problem); }

}  // namespace mlpf
