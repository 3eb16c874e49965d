#pragma once

#include <troupe/core/error.hpp>

#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstddef>
#include <memory>
#include <string>

namespace troupe::net {

template <auto free>
struct FreeOpenssl {
  template <class T>
  void operator()(T* object) const noexcept {
    free(object);
  }
};
using Bio = std::unique_ptr<BIO, FreeOpenssl<BIO_free>>;
using Certificate = std::unique_ptr<X509, FreeOpenssl<X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, FreeOpenssl<EVP_PKEY_free>>;

/// The oldest error that OpenSSL keeps for this thread, in its words; forgets them all.
[[nodiscard]] inline std::string openssl_reason() {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return text.data();
}

/// What only fails without memory or without entropy.
inline void must(bool worked, const char* what) {
  if (worked) return;
  throw Error(ErrorCode::internal, std::string("OpenSSL cannot ") + what + ": " + openssl_reason());
}

/// No password is asked for: a terminal is none of the library's business.
inline int no_password(char*, int, int, void*) { return -1; }

[[nodiscard]] inline Bio reader_of(const std::string& text) {
  const std::size_t size = std::min<std::size_t>(text.size(), INT_MAX);
  return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(size)));
}

/// From PEM; null for what is none.
[[nodiscard]] inline Certificate read_certificate(const std::string& text) {
  Certificate read(PEM_read_bio_X509(reader_of(text).get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  return read;
}
[[nodiscard]] inline Key read_key(const std::string& text) {
  Key read(PEM_read_bio_PrivateKey(reader_of(text).get(), nullptr, no_password, nullptr));
  ERR_clear_error();
  return read;
}

}  // namespace troupe::net
