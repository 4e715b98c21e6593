// mlpf_produce MODEL.onnx EVENTS: candidates of a file of features as text, see README.md.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include "producer.h"

namespace {

constexpr const char* kHelp =
    R"(usage: mlpf_produce [--cmssw-gsf-charge] MODEL.onnx EVENTS

Runs a model as CMSSW's MLPFProducer does and prints candidates, a line each; counts and times of events go to standard error.

  MODEL.onnx          made by mlpf export --target cmssw
  EVENTS              raw features of events, written by mlpf.producer.feature_file (the format is in reader.h)
  --cmssw-gsf-charge  electrons on GSF tracks get charge -1, as in CMSSW; without, the charge of the track
  --help              this text

Example: mlpf_produce model.onnx ttbar.features > candidates.txt
)";

struct Arguments {
  std::string model;
  std::string events;
  mlpf::GsfCharge gsfCharge = mlpf::GsfCharge::ofElement;
  bool help = false;
};

Arguments parse(const std::vector<std::string>& words) {
  Arguments arguments;
  std::vector<std::string> paths;
  for (const std::string& word : words) {
    if (word == "--help" || word == "-h") {
      arguments.help = true;
    } else if (word == "--cmssw-gsf-charge") {
      arguments.gsfCharge = mlpf::GsfCharge::asInCmssw;
    } else if (word.rfind("-", 0) == 0) {
      throw std::runtime_error("unknown option " + word + "; see --help");
    } else {
      paths.push_back(word);
    }
  }
  if (arguments.help) return arguments;
  if (paths.size() != 2) throw std::runtime_error(std::to_string(paths.size()) + " words, expected MODEL.onnx and EVENTS; see --help");
  arguments.model = paths[0];
  arguments.events = paths[1];
  return arguments;
}

// %.9g gives a float back exactly.
void print(std::size_t event, const mlpf::Candidate& c) {
  std::printf("%zu %zu %d %d %.9g %.9g %.9g %.9g %.9g\n", event, c.element, c.pdgId, c.charge, c.pt, c.eta, c.phi, c.energy, c.score);
}

void produce(const Arguments& arguments) {
  mlpf::MLPFProducer producer(arguments.model, arguments.gsfCharge);
  mlpf::FeatureFile file(arguments.events);
  std::printf("# event element pdgid charge pt eta phi energy score\n");
  mlpf::Event event;
  std::ptrdiff_t numNonFinite = 0;
  for (std::size_t i = 0; file.next(event); ++i) {
    numNonFinite += std::count_if(event.features.begin(), event.features.end(), [](float value) { return !std::isfinite(value); });
    const auto start = std::chrono::steady_clock::now();
    const std::vector<mlpf::Candidate> candidates = producer.produce(event);
    const std::chrono::duration<double, std::milli> time = std::chrono::steady_clock::now() - start;
    for (const mlpf::Candidate& candidate : candidates) print(i, candidate);
    std::fprintf(stderr, "event %zu: %zu elements, %zu for the model, %zu candidates, %.2f ms\n", i, event.numElements(), producer.selected().size(),
                 candidates.size(), time.count());
  }
  if (numNonFinite > 0) std::fprintf(stderr, "%td features are not finite; the model got them as they are, as in CMSSW\n", numNonFinite);
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) throw std::runtime_error("standard output cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  try {
    const Arguments arguments = parse({argv + 1, argv + argc});
    if (arguments.help) {
      std::fputs(kHelp, stdout);
    } else {
      produce(arguments);
    }
  } catch (const std::exception& error) {
    std::fprintf(stderr, "mlpf_produce: %s\n", error.what());
    return 1;
  }
  return 0;
}
