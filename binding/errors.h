// The exceptions that kernels and backends throw; bind.h turns each into the JavaScript class with
// the same code.
#pragma once
#include <stdexcept>
#include <string>

class Error : public std::runtime_error {
 public:
  Error(std::string code, const std::string& message)
      : std::runtime_error(message), code_(std::move(code)) {}
  const std::string& code() const { return code_; }

 private:
  std::string code_;
};

struct ArgumentError : Error {
  explicit ArgumentError(const std::string& message) : Error("ERR_ARGUMENT", message) {}
};
struct DisposedError : Error {
  explicit DisposedError(const std::string& message) : Error("ERR_DISPOSED", message) {}
};
struct OutOfMemoryError : Error {
  explicit OutOfMemoryError(const std::string& message) : Error("ERR_OUT_OF_MEMORY", message) {}
};
struct DeviceError : Error {
  explicit DeviceError(const std::string& message) : Error("ERR_DEVICE", message) {}
};
struct InternalError : Error {
  explicit InternalError(const std::string& message) : Error("ERR_INTERNAL", message) {}
};
