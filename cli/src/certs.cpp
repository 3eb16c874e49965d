#include "certs.hpp"

#include <troupe/core/disk.hpp>
#include <troupe/core/error.hpp>
#ifdef TROUPE_NET
#include <troupe/net/certificates.hpp>
#endif

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

namespace troupe::cli {

#ifdef TROUPE_NET
namespace {

Error cannot(const std::string& path, std::string_view what, int number) {
  const ErrorCode code =
      number == ENOSPC || number == EDQUOT ? ErrorCode::disk_full : ErrorCode::file_io;
  return {
      code, path + ": cannot " + std::string(what) + ": " + std::system_category().message(number)};
}

/// Makes a file that must not be there; its mode is right before the first byte is in it.
void write_new(const std::string& path, std::string_view text, mode_t mode) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  if (file < 0 && errno == EEXIST)
    throw Error(ErrorCode::invalid_argument, path + " is there already")
        .hint("move it away, or name another folder by --dir");
  if (file < 0) throw cannot(path, "make it", errno);
  int fault = 0;
  while (!text.empty() && fault == 0) {
    const ssize_t count = ::write(file, text.data(), text.size());
    if (count >= 0)
      text.remove_prefix(static_cast<std::size_t>(count));
    else if (errno != EINTR)
      fault = errno;
  }
  if (fault == 0 && ::fsync(file) != 0) fault = errno;
  if (::close(file) != 0 && fault == 0) fault = errno;
  if (fault == 0) return;
  ::unlink(path.c_str());
  throw cannot(path, "write", fault);
}

/// Both files or none.
void write_pair(const std::string& stem, const net::Credentials& credentials) {
  write_new(stem + ".key", credentials.key, 0600);
  try {
    write_new(stem + ".crt", credentials.certificate, 0644);
  } catch (const Error&) {
    ::unlink((stem + ".key").c_str());
    throw;
  }
}

}  // namespace

std::string read_pem(Disk& disk, const std::string& path, std::string_view hint) {
  constexpr std::uint64_t bytes_max = 1U << 20;
  auto bytes = disk.read_all(path, bytes_max);
  if (!bytes) throw Error(bytes.error()).hint(hint);
  return {reinterpret_cast<const char*>(bytes.value().data()), bytes.value().size()};
}

int certs(const CertsOptions& options, Console& console) {
  const std::unique_ptr<Disk> disk = make_real_disk();
  const std::string authority = options.dir + "/authority";
  if (options.node.empty()) {
    const net::Credentials made = net::make_authority(options.cluster, options.days).value();
    disk->make_folders(options.dir).value();
    write_pair(authority, made);
    console.say(authority + ".crt  for every machine of the cluster");
    console.say(authority + ".key  makes nodes; keep it here");
    return 0;
  }
  if (options.node == "authority")
    throw Error(ErrorCode::invalid_argument, "a node cannot be called 'authority'")
        .hint("its files would be the authority's");
  const auto read = [&](const std::string& path) {
    return read_pem(*disk, path, "'troupe certs init' makes an authority; --dir names its folder");
  };
  const net::Credentials by{read(authority + ".crt"), read(authority + ".key")};
  const std::string stem = options.dir + "/" + options.node;
  write_pair(stem, net::issue(by, options.node, options.hosts, options.days).value());
  console.say(stem + ".crt, " + stem + ".key  for node " + options.node + " alone");
  return 0;
}
#else
int certs(const CertsOptions&, Console&) {
  throw Error(ErrorCode::unsupported, "this build of troupe does not talk to other machines")
      .hint("build it with -DTROUPE_NET=ON");
}
#endif

}  // namespace troupe::cli
