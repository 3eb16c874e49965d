#include "openssl.hpp"

#include <troupe/net/security.hpp>

#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

namespace troupe::net {

namespace {

using Context = std::unique_ptr<SSL_CTX, FreeOpenssl<SSL_CTX_free>>;
using Store = std::unique_ptr<X509_STORE, FreeOpenssl<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, FreeOpenssl<X509_STORE_CTX_free>>;
using Channel = std::unique_ptr<SSL, FreeOpenssl<SSL_free>>;

/// The name of the node that a certificate is issued to.
std::string node_of(X509* certificate) {
  std::array<char, 64> name{};
  const int length = X509_NAME_get_text_by_NID(
      X509_get_subject_name(certificate), NID_commonName, name.data(), name.size());
  return length > 0 ? std::string(name.data(), static_cast<std::size_t>(length)) : std::string();
}

std::string text_of(const ASN1_TIME* time) {
  const Bio bio(BIO_new(BIO_s_mem()));
  must(bio && ASN1_TIME_print(bio.get(), time), "print a time");
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return {data, static_cast<std::size_t>(size)};
}

Context make_context(X509* authority, X509* certificate, EVP_PKEY* key, bool listens) {
  Context context(SSL_CTX_new(listens ? TLS_server_method() : TLS_client_method()));
  must(context != nullptr, "begin TLS");
  SSL_CTX* const c = context.get();
  must(SSL_CTX_set_min_proto_version(c, TLS1_3_VERSION), "ask for TLS 1.3");
  must(
      SSL_CTX_set_ciphersuites(
          c, "TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256:TLS_AES_256_GCM_SHA384"),
      "choose ciphers");
  must(X509_STORE_add_cert(SSL_CTX_get_cert_store(c), authority), "add an authority");
  must(SSL_CTX_use_certificate(c, certificate), "use a certificate");
  must(SSL_CTX_use_PrivateKey(c, key), "use a key");
  // Each connection proves anew who is there: a session of ours outlives connections, TLS's do not.
  SSL_CTX_set_session_cache_mode(c, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_options(c, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION);
  must(SSL_CTX_set_num_tickets(c, 0), "do without tickets");
  SSL_CTX_set_verify(c, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, nullptr);
  SSL_CTX_set_verify_depth(c, 1);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  return context;
}

/// Why others would not take this certificate, at either end of a connection; empty if they would.
std::string why_not(X509* authority, X509* certificate) {
  for (const int purpose : {X509_PURPOSE_SSL_CLIENT, X509_PURPOSE_SSL_SERVER}) {
    const Store store(X509_STORE_new());
    const StoreContext context(X509_STORE_CTX_new());
    must(
        store && context && X509_STORE_add_cert(store.get(), authority) &&
            X509_STORE_CTX_init(context.get(), store.get(), certificate, nullptr) &&
            X509_STORE_CTX_set_purpose(context.get(), purpose),
        "check a certificate");
    if (X509_verify_cert(context.get()) == 1) continue;
    ERR_clear_error();
    return X509_verify_cert_error_string(X509_STORE_CTX_get_error(context.get()));
  }
  return {};
}

}  // namespace

struct Security::State {
  Context dials;
  Context listens;
  std::string node;
  Id128 cluster;
};

Security::Security(std::unique_ptr<State> state) : state_(std::move(state)) {}
Security::~Security() = default;

Result<std::shared_ptr<const Security>> Security::make(
    const std::string& authority_text, const Credentials& node) try {
  const Certificate authority = read_certificate(authority_text);
  if (!authority)
    throw Error(ErrorCode::file_corrupt, "the authority's certificate cannot be read")
        .hint("'troupe certs init' makes one; copy its .crt to every machine");
  const Certificate certificate = read_certificate(node.certificate);
  const Key key = read_key(node.key);
  if (!certificate || !key)
    throw Error(
        ErrorCode::file_corrupt,
        certificate ? "the node's key cannot be read" : "the node's certificate cannot be read")
        .hint("'troupe certs issue' makes both");
  if (X509_check_private_key(certificate.get(), key.get()) != 1) {
    ERR_clear_error();
    throw Error(ErrorCode::file_mismatch, "the node's key is not that of its certificate");
  }
  if (const std::string why = why_not(authority.get(), certificate.get()); !why.empty())
    throw Error(
        ErrorCode::file_mismatch,
        "the authority does not stand for the certificate of '" + node_of(certificate.get()) +
            "', which is good from " + text_of(X509_get0_notBefore(certificate.get())) + " to " +
            text_of(X509_get0_notAfter(certificate.get())) + ": " + why)
        .hint("'troupe certs issue' makes another");
  auto state = std::make_unique<State>();
  state->dials = make_context(authority.get(), certificate.get(), key.get(), false);
  state->listens = make_context(authority.get(), certificate.get(), key.get(), true);
  state->node = node_of(certificate.get());
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  must(X509_digest(authority.get(), EVP_sha256(), digest.data(), nullptr), "digest a certificate");
  for (std::size_t i = 0; i < 8; ++i) {
    state->cluster.high = state->cluster.high << 8 | digest[i];
    state->cluster.low = state->cluster.low << 8 | digest[8 + i];
  }
  return std::shared_ptr<const Security>(new Security(std::move(state)));
} catch (const Error& error) {
  return error;
}

const std::string& Security::node() const noexcept { return state_->node; }
const Id128& Security::cluster() const noexcept { return state_->cluster; }

namespace {

/// Where TLS reads and writes: bytes as they lie. OpenSSL's own memory would zero them and copy
/// them once more, each way.
struct Carried {
  std::span<const std::byte> unread;  // of what was fed
  std::vector<std::byte> out;
};

const BIO_METHOD* carried_method() {
  static const std::unique_ptr<BIO_METHOD, FreeOpenssl<BIO_meth_free>> method = [] {
    std::unique_ptr<BIO_METHOD, FreeOpenssl<BIO_meth_free>> made(
        BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "carried bytes"));
    must(made != nullptr, "make a kind of buffer");
    BIO_meth_set_read_ex(made.get(), [](BIO* bio, char* to, std::size_t size, std::size_t* count) {
      auto& unread = static_cast<Carried*>(BIO_get_data(bio))->unread;
      BIO_clear_retry_flags(bio);
      *count = std::min(size, unread.size());
      if (*count == 0) {
        BIO_set_retry_read(bio);
        return 0;
      }
      std::memcpy(to, unread.data(), *count);
      unread = unread.subspan(*count);
      return 1;
    });
    BIO_meth_set_write_ex(
        made.get(), [](BIO* bio, const char* from, std::size_t size, std::size_t* count) {
          auto& out = static_cast<Carried*>(BIO_get_data(bio))->out;
          const auto* bytes = reinterpret_cast<const std::byte*>(from);
          try {
            out.insert(out.end(), bytes, bytes + size);
          } catch (const std::bad_alloc&) {  // C has no exceptions
            return 0;
          }
          *count = size;
          return 1;
        });
    BIO_meth_set_ctrl(
        made.get(), [](BIO*, int what, long, void*) -> long { return what == BIO_CTRL_FLUSH; });
    return made;
  }();
  return method.get();
}

}  // namespace

struct SecureChannel::State {
  std::shared_ptr<const Security> security;
  Carried carried;
  std::vector<std::byte> kept;  // what came right behind the greeting's last word
  std::size_t out_taken = 0;
  Channel ssl;
};

SecureChannel::SecureChannel(std::shared_ptr<const Security> security, Role role)
    : state_(std::make_unique<State>()) {
  State& s = *state_;
  s.security = std::move(security);
  const Security::State& from = *s.security->state_;
  s.ssl.reset(SSL_new(role == Role::listens ? from.listens.get() : from.dials.get()));
  must(s.ssl != nullptr, "begin a connection");
  BIO* const bio = BIO_new(carried_method());
  must(bio != nullptr, "make a buffer");
  BIO_set_data(bio, &s.carried);
  BIO_set_init(bio, 1);
  SSL_set_bio(s.ssl.get(), bio, bio);
  if (role == Role::listens) {
    SSL_set_accept_state(s.ssl.get());
  } else {
    SSL_set_connect_state(s.ssl.get());
    (void)greet();  // its first words are the listener's to answer
  }
}
SecureChannel::~SecureChannel() { ERR_clear_error(); }

Error SecureChannel::fault(const std::string& during) const {
  const long verdict = SSL_get_verify_result(state_->ssl.get());
  const int reason = ERR_GET_REASON(ERR_peek_error());
  std::string why = openssl_reason();
  // OpenSSL's "tlsv1 alert …": what the other end said.
  const bool told = reason >= SSL_AD_REASON_OFFSET;
  if (verdict != X509_V_OK) why = X509_verify_cert_error_string(verdict);
  Error error(
      !greeted_ || told ? ErrorCode::peer_mismatch : ErrorCode::wire_corrupt,
      during + ": " + (told ? "the peer refuses this node: " + why : why));
  if (!greeted_ || told)
    error.hint("both need certificates of one authority, whose time is not over");
  return error;
}

Result<void> SecureChannel::greet() {
  SSL* const ssl = state_->ssl.get();
  ERR_clear_error();
  const int done = SSL_do_handshake(ssl);
  if (done != 1) {
    if (SSL_get_error(ssl, done) == SSL_ERROR_WANT_READ) return {};
    return fault("the greeting failed");
  }
  const Certificate certificate(SSL_get1_peer_certificate(ssl));
  must(certificate != nullptr, "find the peer's certificate");
  peer_ = node_of(certificate.get());
  greeted_ = true;
  return {};
}

bool SecureChannel::stands_for(const std::string& host) const {
  const Certificate certificate(SSL_get1_peer_certificate(state_->ssl.get()));
  return certificate &&
         (X509_check_ip_asc(certificate.get(), host.c_str(), 0) == 1 ||
          X509_check_host(certificate.get(), host.data(), host.size(), 0, nullptr) == 1);
}

Result<void> SecureChannel::feed(std::span<const std::byte> bytes) {
  State& s = *state_;
  if (!s.carried.unread.empty())
    return Error(ErrorCode::internal, "bytes were fed before those of the last call were read");
  s.carried.unread = bytes;
  if (greeted_) return {};
  auto done = greet();
  s.kept.assign(s.carried.unread.begin(), s.carried.unread.end());
  s.carried.unread = s.kept;
  return done;
}

Result<std::size_t> SecureChannel::read(std::span<std::byte> to) {
  if (!greeted_ || to.empty()) return std::size_t{0};
  SSL* const ssl = state_->ssl.get();
  ERR_clear_error();
  std::size_t count = 0;
  std::size_t before = 0;
  int done = 0;
  do {  // a record that holds nothing for us is no end of what was fed
    before = state_->carried.unread.size();
    done = SSL_read_ex(ssl, to.data(), to.size(), &count);
  } while (done != 1 && SSL_get_error(ssl, done) == SSL_ERROR_WANT_READ &&
           state_->carried.unread.size() < before && !state_->carried.unread.empty());
  if (done == 1) return count;
  switch (SSL_get_error(ssl, done)) {
    case SSL_ERROR_WANT_READ:
      return std::size_t{0};
    case SSL_ERROR_ZERO_RETURN:
      ended_ = true;
      return std::size_t{0};
    default:
      return fault("a record is wrong");
  }
}

Result<void> SecureChannel::write(std::span<const std::byte> bytes) {
  SSL* const ssl = state_->ssl.get();
  ERR_clear_error();
  while (!bytes.empty()) {
    std::size_t count = 0;
    // Into memory, so it never has to wait.
    const int done = SSL_write_ex(ssl, bytes.data(), bytes.size(), &count);
    if (done != 1) return fault("nothing can be written");
    bytes = bytes.subspan(count);
  }
  return {};
}

std::span<const std::byte> SecureChannel::output() const noexcept {
  return std::span(state_->carried.out).subspan(state_->out_taken);
}

void SecureChannel::drop_output(std::size_t bytes) noexcept {
  state_->out_taken += bytes;
  if (!output().empty()) return;
  state_->carried.out.clear();
  state_->out_taken = 0;
}

}  // namespace troupe::net
