#include "openssl.hpp"
#include "support/raw_dialer.hpp"

#include <troupe/net/certificates.hpp>
#include <troupe/net/security.hpp>

#include <catch2/catch_test_macros.hpp>

#include <array>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace troupe::testing {
namespace {

using net::Certificate;
using net::Credentials;
using net::Key;
using net::SecureChannel;
using net::Security;

constexpr long day = 24L * 3600;

/// A certificate to be, and who signs it.
struct Recipe {
  std::string name = "node";
  long from_s = -day;  // from now
  long until_s = day;
  std::string usage = "serverAuth,clientAuth";
  bool authority = false;
};

struct Made {
  Certificate certificate;
  Key key;
};

/// By OpenSSL itself: `net::issue` makes no bad ones.
Made make(const Recipe& recipe, X509* issuer, EVP_PKEY* issuer_key) {
  Made made{Certificate(X509_new()), Key(EVP_EC_gen("P-256"))};
  X509* const x = made.certificate.get();
  const auto extend = [&](int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer ? issuer : x, x, nullptr, nullptr, 0);
    X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    REQUIRE(extension != nullptr);
    X509_add_ext(x, extension, -1);
    X509_EXTENSION_free(extension);
  };
  X509_set_version(x, X509_VERSION_3);
  ASN1_INTEGER_set(X509_get_serialNumber(x), 7);
  X509_gmtime_adj(X509_getm_notBefore(x), recipe.from_s);
  X509_gmtime_adj(X509_getm_notAfter(x), recipe.until_s);
  X509_set_pubkey(x, made.key.get());
  X509_NAME_add_entry_by_txt(
      X509_get_subject_name(x),
      "CN",
      MBSTRING_UTF8,
      reinterpret_cast<const unsigned char*>(recipe.name.data()),
      -1,
      -1,
      0);
  extend(NID_basic_constraints, recipe.authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
  if (!recipe.usage.empty()) extend(NID_ext_key_usage, recipe.usage);
  X509_set_issuer_name(x, X509_get_subject_name(issuer ? issuer : x));
  REQUIRE(X509_sign(x, issuer_key ? issuer_key : made.key.get(), EVP_sha256()) > 0);
  return made;
}

/// The same certificate with one bit of its signature another.
Certificate with_other_signature(X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  REQUIRE(size > 0);
  der[size - 5] ^= 1;  // the end of the number s
  const unsigned char* at = der;
  Certificate changed(d2i_X509(nullptr, &at, size));
  OPENSSL_free(der);
  REQUIRE(changed);
  return changed;
}

struct Lab {
  Credentials authority = net::make_authority("lab", 10).value();
  std::shared_ptr<const Security> security =
      Security::make(
          authority.certificate, net::issue(authority, "listener", {"127.0.0.1"}, 5).value())
          .value();
  Certificate certificate = net::read_certificate(authority.certificate);
  Key key = net::read_key(authority.key);

  [[nodiscard]] Made good(const Recipe& recipe = {}) const {
    return make(recipe, certificate.get(), key.get());
  }
};

struct Outcome {
  std::optional<Error> fault;
  bool greeted = false;
  std::size_t came = 0;
};

/// Dials, shows this certificate, and goes on to send, whatever the listener says.
Outcome dial(const Lab& lab, X509* certificate, EVP_PKEY* key) {
  SecureChannel listener(lab.security, SecureChannel::Role::listens);
  test::RawDialer dialer(certificate, key);
  Outcome outcome;
  bool wrote = false;
  for (int flight = 0; flight < 6 && !outcome.fault; ++flight) {
    if (dialer.greeted() && !wrote) {
      wrote = true;
      dialer.write(std::vector<std::byte>(1000, std::byte{1}));
    }
    const auto sent = dialer.take_output();
    if (const auto fed = listener.feed(sent); !fed) outcome.fault = fed.error();
    std::array<std::byte, 4096> part{};
    if (!outcome.fault)
      if (const auto read = listener.read(part)) outcome.came += read.value();
    const auto out = listener.output();
    const std::vector<std::byte> answer(out.begin(), out.end());
    listener.drop_output(answer.size());
    dialer.feed(answer);
  }
  outcome.greeted = listener.greeted();
  return outcome;
}

void check_refused(const Outcome& outcome) {
  REQUIRE(outcome.fault);
  CHECK(outcome.fault->code() == ErrorCode::peer_mismatch);
  CHECK_FALSE(outcome.fault->message().empty());
  CHECK_FALSE(outcome.greeted);
  CHECK(outcome.came == 0);
}

}  // namespace

// Goal: promise 5: nine kinds of bad certificate are refused with a typed error, and nothing that
// their owners send comes out of the channel.
// Method: a dialer that believes everything and sends at once what it has; the good one shows that
// it would come through.
TEST_CASE("a listener refuses each kind of bad certificate", "[net][proof]") {
  const Lab lab;
  SECTION("a good one comes through") {
    const Made node = lab.good();
    const Outcome outcome = dial(lab, node.certificate.get(), node.key.get());
    CHECK_FALSE(outcome.fault);
    CHECK(outcome.greeted);
    CHECK(outcome.came == 1000);
  }
  SECTION("of another authority") {
    const Lab other;
    const Made node = other.good();
    check_refused(dial(lab, node.certificate.get(), node.key.get()));
  }
  SECTION("of another authority that has the same name and signs for it") {
    const Made fake = make({.name = "lab", .authority = true}, nullptr, nullptr);
    const Made node = make({}, fake.certificate.get(), fake.key.get());
    check_refused(dial(lab, node.certificate.get(), node.key.get()));
  }
  SECTION("expired") {
    const Made node = lab.good({.from_s = -2 * day, .until_s = -60});
    check_refused(dial(lab, node.certificate.get(), node.key.get()));
  }
  SECTION("not yet valid") {
    const Made node = lab.good({.from_s = 3600, .until_s = 2 * day});
    check_refused(dial(lab, node.certificate.get(), node.key.get()));
  }
  SECTION("signed by itself") {
    const Made node = make({}, nullptr, nullptr);
    check_refused(dial(lab, node.certificate.get(), node.key.get()));
  }
  SECTION("signed by another node") {
    const Made signer = lab.good();
    const Made node = make({}, signer.certificate.get(), signer.key.get());
    check_refused(dial(lab, node.certificate.get(), node.key.get()));
  }
  SECTION("for listeners only") {
    const Made node = lab.good({.usage = "serverAuth"});
    check_refused(dial(lab, node.certificate.get(), node.key.get()));
  }
  SECTION("with a signature that was changed") {
    const Made node = lab.good();
    const Certificate changed = with_other_signature(node.certificate.get());
    check_refused(dial(lab, changed.get(), node.key.get()));
  }
  SECTION("the authority's own") {
    const Outcome outcome = dial(lab, lab.certificate.get(), lab.key.get());
    check_refused(outcome);
  }
  SECTION("none") { check_refused(dial(lab, nullptr, nullptr)); }
}

// The same at the dialing end, whose listener is the bad one; and what a node must not begin with.
TEST_CASE("a node does not begin with a certificate that others would refuse", "[net][proof]") {
  const Lab lab;
  const auto text_of = [](const Made& made) {
    const auto write = [](auto&& put) {
      const net::Bio bio(BIO_new(BIO_s_mem()));
      put(bio.get());
      char* data = nullptr;
      const long size = BIO_get_mem_data(bio.get(), &data);
      return std::string(data, static_cast<std::size_t>(size));
    };
    return Credentials{
        write([&](BIO* bio) { PEM_write_bio_X509(bio, made.certificate.get()); }),
        write([&](BIO* bio) {
          PEM_write_bio_PrivateKey(bio, made.key.get(), nullptr, nullptr, 0, nullptr, nullptr);
        })};
  };
  const auto code_of = [&](const Credentials& node) {
    const auto made = Security::make(lab.authority.certificate, node);
    return made ? ErrorCode{} : made.error().code();
  };
  CHECK(
      code_of(text_of(lab.good({.from_s = -2 * day, .until_s = -60}))) == ErrorCode::file_mismatch);
  CHECK(code_of(text_of(lab.good({.from_s = 60, .until_s = day}))) == ErrorCode::file_mismatch);
  CHECK(code_of(text_of(make({}, nullptr, nullptr))) == ErrorCode::file_mismatch);
  Credentials other_key = text_of(lab.good());
  other_key.key = text_of(lab.good()).key;
  CHECK(code_of(other_key) == ErrorCode::file_mismatch);
  CHECK(code_of(lab.authority) == ErrorCode::file_mismatch);
}

}  // namespace troupe::testing
