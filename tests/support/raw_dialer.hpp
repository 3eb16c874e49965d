#pragma once

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <cstddef>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace troupe::test {

/// The dialing end of a TLS connection as somebody hostile would write it: believes any listener,
/// and shows whatever certificate it has, or none.
class RawDialer {
 public:
  RawDialer(X509* certificate, EVP_PKEY* key)
      : context_(SSL_CTX_new(TLS_client_method()), &SSL_CTX_free) {
    SSL_CTX_set_verify(context_.get(), SSL_VERIFY_NONE, nullptr);
    if (certificate && SSL_CTX_use_certificate(context_.get(), certificate) != 1)
      throw std::runtime_error("OpenSSL does not take the certificate");
    // Not checked against the certificate: that it does not fit may be the point.
    if (key && SSL_CTX_use_PrivateKey(context_.get(), key) != 1) {
      ERR_clear_error();
      throw std::runtime_error("OpenSSL does not take the key");
    }
    ssl_.reset(SSL_new(context_.get()));
    in_ = BIO_new(BIO_s_mem());
    out_ = BIO_new(BIO_s_mem());
    SSL_set_bio(ssl_.get(), in_, out_);
    SSL_set_connect_state(ssl_.get());
    go_on();
  }

  void feed(std::span<const std::byte> bytes) {
    if (!bytes.empty()) (void)BIO_write(in_, bytes.data(), static_cast<int>(bytes.size()));
    go_on();
  }
  [[nodiscard]] std::vector<std::byte> take_output() {
    std::vector<std::byte> bytes(BIO_ctrl_pending(out_));
    if (!bytes.empty()) (void)BIO_read(out_, bytes.data(), static_cast<int>(bytes.size()));
    return bytes;
  }
  /// As far as this end knows: the listener may think otherwise.
  [[nodiscard]] bool greeted() const { return SSL_is_init_finished(ssl_.get()) != 0; }
  void write(std::span<const std::byte> bytes) {
    (void)SSL_write(ssl_.get(), bytes.data(), static_cast<int>(bytes.size()));
    ERR_clear_error();
  }

 private:
  void go_on() {
    (void)SSL_do_handshake(ssl_.get());
    ERR_clear_error();
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl_{nullptr, &SSL_free};
  BIO* in_ = nullptr;  // the connection's
  BIO* out_ = nullptr;
};

}  // namespace troupe::test
