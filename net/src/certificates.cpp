#include "openssl.hpp"

#include <troupe/net/certificates.hpp>

#include <algorithm>
#include <memory>
#include <utility>

namespace troupe::net {

namespace {

using Extension = std::unique_ptr<X509_EXTENSION, FreeOpenssl<X509_EXTENSION_free>>;
using Serial = std::unique_ptr<BIGNUM, FreeOpenssl<BN_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, FreeOpenssl<GENERAL_NAMES_free>>;
using Octets = std::unique_ptr<ASN1_OCTET_STRING, FreeOpenssl<ASN1_OCTET_STRING_free>>;
using Text = std::unique_ptr<ASN1_IA5STRING, FreeOpenssl<ASN1_IA5STRING_free>>;

constexpr int days_max = 36'500;
constexpr long second_of_hour = 3600;

void check_name(const std::string& what, std::string_view name) {
  const auto fits = [](unsigned char letter) {
    return (letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z') ||
           (letter >= '0' && letter <= '9') || letter == '-' || letter == '_' || letter == '.';
  };
  // What a common name can hold, and what is a file's name and no option.
  const bool good = !name.empty() && name.size() <= 63 && name.front() != '-' &&
                    name.front() != '.' && std::all_of(name.begin(), name.end(), fits);
  if (!good)
    throw Error(ErrorCode::invalid_argument, what + " '" + std::string(name.substr(0, 80)) + "'")
        .hint("1 to 63 letters, digits, '-', '_' or '.', beginning with a letter, digit or '_'");
}

void check_days(int days) {
  if (days < 1 || days > days_max)
    throw Error(ErrorCode::invalid_argument, "a certificate for " + std::to_string(days) + " days")
        .hint("1 to " + std::to_string(days_max));
}

Key make_key() {
  Key key(EVP_EC_gen("P-256"));
  must(key != nullptr, "make a key");
  return key;
}

/// A certificate of this name and key, without what makes it an authority's or a node's.
Certificate begin_certificate(std::string_view name, EVP_PKEY* key, int days) {
  Certificate certificate(X509_new());
  X509* const made = certificate.get();
  must(made && X509_set_version(made, X509_VERSION_3), "make a certificate");
  const Serial serial(BN_new());
  must(
      serial && BN_rand(serial.get(), 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
          BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(made)),
      "draw a serial number");
  // An hour back, for the clocks of two machines differ.
  must(
      X509_gmtime_adj(X509_getm_notBefore(made), -second_of_hour) &&
          X509_time_adj_ex(X509_getm_notAfter(made), days, 0, nullptr),
      "set times");
  must(
      X509_set_pubkey(made, key) && X509_NAME_add_entry_by_txt(
                                        X509_get_subject_name(made),
                                        "CN",
                                        MBSTRING_UTF8,
                                        reinterpret_cast<const unsigned char*>(name.data()),
                                        static_cast<int>(name.size()),
                                        -1,
                                        0),
      "set name and key");
  return certificate;
}

/// One of the standard's extensions, its value in OpenSSL's notation; never from outside.
void extend(X509* certificate, X509* issuer, int kind, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, kind, value));
  must(extension && X509_add_ext(certificate, extension.get(), -1), "extend a certificate");
}

void add_alternative_names(
    X509* certificate, std::string_view node, const std::vector<std::string>& hosts) {
  const Names names(sk_GENERAL_NAME_new_null());
  must(names != nullptr, "make a list of names");
  const auto add = [&names](int kind, ASN1_STRING* value) {
    GENERAL_NAME* const name = GENERAL_NAME_new();
    must(name && value, "make a name");
    GENERAL_NAME_set0_value(name, kind, value);
    must(sk_GENERAL_NAME_push(names.get(), name) > 0, "list a name");
  };
  const auto add_text = [&](std::string_view text) {
    Text value(ASN1_IA5STRING_new());
    must(
        value && ASN1_STRING_set(value.get(), text.data(), static_cast<int>(text.size())),
        "make a name");
    add(GEN_DNS, value.release());
  };
  add_text(node);
  for (const std::string& host : hosts) {
    if (Octets address(a2i_IPADDRESS(host.c_str())); address) {
      add(GEN_IPADD, address.release());
    } else {
      check_name("no name or address of a host:", host);
      add_text(host);
    }
  }
  ERR_clear_error();  // of host names that were no addresses
  must(
      X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) > 0,
      "add names to a certificate");
}

Credentials finish(X509* certificate, X509* issuer, EVP_PKEY* issuer_key, EVP_PKEY* key) {
  must(
      X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) &&
          X509_sign(certificate, issuer_key, EVP_sha256()),
      "sign a certificate");
  const auto text_of = [](auto&& write) {
    const Bio bio(BIO_new(BIO_s_mem()));
    must(bio && write(bio.get()), "write PEM");
    char* data = nullptr;
    const long size = BIO_get_mem_data(bio.get(), &data);
    return std::string(data, static_cast<std::size_t>(size));
  };
  return {
      text_of([&](BIO* bio) { return PEM_write_bio_X509(bio, certificate); }),
      text_of([&](BIO* bio) {
        return PEM_write_bio_PrivateKey(bio, key, nullptr, nullptr, 0, nullptr, nullptr);
      })};
}

struct Authority {
  Certificate certificate;
  Key key;
};

Authority read_authority(const Credentials& authority, int days) {
  Authority read;
  read.certificate = read_certificate(authority.certificate);
  read.key = read_key(authority.key);
  if (!read.certificate)
    throw Error(ErrorCode::file_corrupt, "the authority's certificate cannot be read")
        .hint("'troupe certs init' makes one; a copy may be cut off");
  if (!read.key)
    throw Error(ErrorCode::file_corrupt, "the authority's key cannot be read")
        .hint("'troupe certs init' makes one, without a password; a copy may be cut off");
  if (X509_check_private_key(read.certificate.get(), read.key.get()) != 1) {
    ERR_clear_error();
    throw Error(ErrorCode::file_mismatch, "the authority's key is not that of its certificate");
  }
  if (X509_check_ca(read.certificate.get()) != 1)
    throw Error(ErrorCode::file_mismatch, "the certificate is no authority's");
  int days_left = 0;
  int seconds_left = 0;
  must(
      ASN1_TIME_diff(
          &days_left, &seconds_left, nullptr, X509_get0_notAfter(read.certificate.get())),
      "read a time");
  if (seconds_left < 0 || days_left < days)
    throw Error(
        ErrorCode::invalid_argument,
        "a certificate for " + std::to_string(days) + " days, of an authority that ends in " +
            std::to_string(seconds_left < 0 ? 0 : days_left))
        .hint("ask for fewer days, or make another authority");
  return read;
}

}  // namespace

Result<Credentials> make_authority(std::string_view cluster, int days) try {
  check_name("no name of a cluster:", cluster);
  check_days(days);
  const Key key = make_key();
  const Certificate certificate = begin_certificate(cluster, key.get(), days);
  X509* const made = certificate.get();
  extend(made, made, NID_basic_constraints, "critical,CA:TRUE,pathlen:0");
  extend(made, made, NID_key_usage, "critical,keyCertSign");
  extend(made, made, NID_subject_key_identifier, "hash");
  return finish(made, made, key.get(), key.get());
} catch (const Error& error) {
  return error;
}

Result<Credentials> issue(
    const Credentials& authority,
    std::string_view node,
    const std::vector<std::string>& hosts,
    int days) try {
  check_name("no name of a node:", node);
  check_days(days);
  const Authority by = read_authority(authority, days);
  const Key key = make_key();
  const Certificate certificate = begin_certificate(node, key.get(), days);
  X509* const made = certificate.get();
  X509* const issuer = by.certificate.get();
  extend(made, issuer, NID_basic_constraints, "critical,CA:FALSE");
  extend(made, issuer, NID_key_usage, "critical,digitalSignature");
  extend(made, issuer, NID_ext_key_usage, "serverAuth,clientAuth");
  extend(made, issuer, NID_authority_key_identifier, "keyid:always");
  add_alternative_names(made, node, hosts);
  return finish(made, issuer, by.key.get(), key.get());
} catch (const Error& error) {
  return error;
}

}  // namespace troupe::net
