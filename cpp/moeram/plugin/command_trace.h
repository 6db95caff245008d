// Writes every issued command of a channel: "cycle, COMMAND, v0, v1, ..." with the address of the request it serves.
#pragma once

#include <cstdio>
#include <memory>
#include <string>

#include "moeram/controller/listener.h"

namespace moeram {

class CommandTrace : public CommandListener {
 public:
  // Creates missing folders; throws ConfigError if the file cannot be written. Until finish() the lines stand in
  // "<path>.partial": a run that fails leaves an earlier file as it was.
  CommandTrace(const Spec& spec, const std::string& path);
  ~CommandTrace() override;
  CommandTrace(const CommandTrace&) = delete;
  CommandTrace& operator=(const CommandTrace&) = delete;
  void on_command(Cycle now, int command, const Request& request) override;
  void finish() override;
  std::string name() const override { return "TraceRecorder"; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  const Spec& spec_;
  std::string path_;
  std::string partial_path_;
  std::unique_ptr<std::FILE, Close> file_;
};

}  // namespace moeram
