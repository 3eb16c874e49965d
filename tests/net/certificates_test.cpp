#include <troupe/net/certificates.hpp>

#include <catch2/catch_test_macros.hpp>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <ctime>
#include <memory>
#include <string>

namespace troupe::net {
namespace {

/// The certificate of a PEM text, for as long as this lives.
class Read {
 public:
  explicit Read(const std::string& pem) {
    BIO* const bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
    certificate_ = PEM_read_bio_X509(bio, nullptr, nullptr, nullptr);
    BIO_free(bio);
    REQUIRE(certificate_);
  }
  ~Read() { X509_free(certificate_); }
  Read(const Read&) = delete;
  Read& operator=(const Read&) = delete;
  [[nodiscard]] X509* get() const { return certificate_; }

 private:
  X509* certificate_ = nullptr;
};

/// What OpenSSL makes of a node's certificate so many days from now; X509_V_OK if it is good.
int verify(const Credentials& node, const Credentials& authority, int purpose, int in_days = 0) {
  const Read certificate(node.certificate);
  const Read root(authority.certificate);
  X509_STORE* const store = X509_STORE_new();
  X509_STORE_add_cert(store, root.get());
  X509_STORE_CTX* const context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, certificate.get(), nullptr);
  X509_STORE_CTX_set_purpose(context, purpose);
  X509_STORE_CTX_set_flags(context, X509_V_FLAG_X509_STRICT);
  X509_STORE_CTX_set_time(context, 0, std::time(nullptr) + in_days * 86'400L);
  X509_verify_cert(context);
  const int verdict = X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  return verdict;
}

ErrorCode refused(const Result<Credentials>& made) {
  REQUIRE(!made.ok());
  return made.error().code();
}

}  // namespace

TEST_CASE("an authority's nodes are good at both ends, until their days are over", "[net]") {
  const Credentials authority = make_authority("cluster", 100).value();
  const Credentials node = issue(authority, "a", {}, 10).value();
  for (const int purpose : {X509_PURPOSE_SSL_SERVER, X509_PURPOSE_SSL_CLIENT}) {
    CHECK(verify(node, authority, purpose) == X509_V_OK);
    CHECK(verify(node, authority, purpose, 9) == X509_V_OK);
    CHECK(verify(node, authority, purpose, 11) == X509_V_ERR_CERT_HAS_EXPIRED);
    CHECK(verify(node, authority, purpose, -1) == X509_V_ERR_CERT_NOT_YET_VALID);
  }
  const Credentials other = make_authority("cluster", 100).value();
  CHECK(verify(node, other, X509_PURPOSE_SSL_SERVER) != X509_V_OK);
  // A node's certificate signs nothing.
  CHECK(refused(issue(node, "b", {}, 1)) == ErrorCode::file_mismatch);
}

TEST_CASE("a certificate stands for the node, its hosts, and nobody else", "[net]") {
  const Credentials authority = make_authority("cluster", 100).value();
  const Credentials node =
      issue(authority, "a", {"a.example.org", "192.0.2.7", "2001:db8::7"}, 10).value();
  const Read certificate(node.certificate);
  const auto named = [&](const std::string& host) {
    return X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr) == 1;
  };
  CHECK(named("a"));
  CHECK(named("a.example.org"));
  CHECK(!named("b"));
  CHECK(!named("example.org"));
  CHECK(X509_check_ip_asc(certificate.get(), "192.0.2.7", 0) == 1);
  CHECK(X509_check_ip_asc(certificate.get(), "2001:db8::7", 0) == 1);
  CHECK(X509_check_ip_asc(certificate.get(), "192.0.2.8", 0) == 0);
}

TEST_CASE("no two keys and no two serial numbers are alike", "[net]") {
  const Credentials authority = make_authority("cluster", 100).value();
  const Credentials one = issue(authority, "a", {}, 10).value();
  const Credentials two = issue(authority, "a", {}, 10).value();
  CHECK(one.key != two.key);
  const Read first(one.certificate);
  const Read second(two.certificate);
  CHECK(
      ASN1_INTEGER_cmp(X509_get0_serialNumber(first.get()), X509_get0_serialNumber(second.get())) !=
      0);
  CHECK(EVP_PKEY_get_bits(X509_get0_pubkey(first.get())) == 256);
}

TEST_CASE("names and days that a certificate cannot have are refused", "[net]") {
  const Credentials authority = make_authority("cluster", 100).value();
  for (const std::string& name :
       {std::string(),
        std::string("-a"),
        std::string("../a"),
        std::string("a/b"),
        std::string("a,DNS:b"),
        std::string("a\0b", 3),
        std::string(64, 'a'),
        std::string("ä")}) {
    CHECK(refused(make_authority(name, 10)) == ErrorCode::invalid_argument);
    CHECK(refused(issue(authority, name, {}, 10)) == ErrorCode::invalid_argument);
    CHECK(refused(issue(authority, "a", {name}, 10)) == ErrorCode::invalid_argument);
  }
  for (const int days : {0, -1, 36'501}) {
    CHECK(refused(make_authority("cluster", days)) == ErrorCode::invalid_argument);
    CHECK(refused(issue(authority, "a", {}, days)) == ErrorCode::invalid_argument);
  }
  CHECK(refused(issue(authority, "a", {}, 101)) == ErrorCode::invalid_argument);
}

TEST_CASE("an authority whose files are damaged or mixed up is refused", "[net]") {
  const Credentials authority = make_authority("cluster", 100).value();
  const Credentials other = make_authority("cluster", 100).value();
  const auto with = [&](const std::string& certificate, const std::string& key) {
    return refused(issue({certificate, key}, "a", {}, 10));
  };
  CHECK(with("", authority.key) == ErrorCode::file_corrupt);
  CHECK(with(authority.certificate, "") == ErrorCode::file_corrupt);
  CHECK(with(authority.key, authority.key) == ErrorCode::file_corrupt);
  CHECK(with(authority.certificate.substr(0, 200), authority.key) == ErrorCode::file_corrupt);
  CHECK(with(authority.certificate, other.key) == ErrorCode::file_mismatch);
}

}  // namespace troupe::net
