//! The one way out: HTTP that cannot be led to private addresses (spec rows K-02, K-05, O-01).
//!
//! https only; a host name is looked up once, refused if any of its addresses is not public, and
//! only vetted addresses are dialled, under the host's own name in TLS. No redirects, no proxy
//! from the environment, no content decoding; two seconds to connect, a deadline for the whole
//! call, and a ceiling on the body, which is counted while it arrives. The operator may allow
//! named hosts to be private and to speak plain http: for what admins name, and apart from that for
//! documents that strangers name.

mod address;
pub mod api;
pub mod freshness;
mod resolver;
mod roots;

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use reqwest::{
    Client, Method, StatusCode, Url,
    header::{self, HeaderMap, HeaderValue},
};
use url::Host;

pub use resolver::{Lookup, system as system_lookup};
pub use roots::{BadRoots, Roots};

use resolver::{NotPublic, Vetting};

use crate::deadline;

/// For a document: from the look-up to the last byte.
const DOCUMENT_DEADLINE: Duration = Duration::from_secs(5);

/// What the operator allows besides public https hosts.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// `host` or `host:port`: may be on a private address, and plain http.
    pub allowed: Vec<String>,
    /// The same for documents that strangers name, which go by this list alone.
    pub documents: Vec<String>,
}

/// An HTTP client behind the guard. Clones share.
#[derive(Clone)]
pub struct Outbound {
    inner: Arc<Inner>,
    /// Whether admins name the documents that are read.
    by_admins: bool,
}

struct Inner {
    policy: Policy,
    roots: Roots,
    lookup: Lookup,
    public: Client,
    allowed: Client,
    /// As `public` and `allowed`, with a new connection for every call.
    once: [OnceLock<Client>; 2],
}

/// Which hosts a client dials.
#[derive(Clone, Copy)]
enum Reach {
    Public = 0,
    Allowed = 1,
}

/// One call.
#[derive(Debug)]
pub struct Request {
    /// GET, POST, …
    pub method: Method,
    /// Where to.
    pub url: Url,
    /// Sent as they are; mark secrets as sensitive.
    pub headers: HeaderMap,
    /// Sent as it is.
    pub body: Option<Vec<u8>>,
    /// For everything from the look-up to the last byte.
    pub deadline: Duration,
    /// The largest body that is read.
    pub max_bytes: usize,
}

/// An answer, whatever its status but a redirect. With 200 it came whole; of another's body there is
/// as much as fits.
#[derive(Debug)]
pub struct Response {
    /// 200, 404, …
    pub status: u16,
    /// As they came.
    pub headers: HeaderMap,
    /// Undecoded.
    pub body: Vec<u8>,
}

/// Why a call gave nothing. Carries no text from the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Not https, or with a user name in it, or without a host.
    #[error("the address must be https://host, without a user name")]
    BadUrl,
    /// Special-use, and the operator does not allow it.
    #[error("the address is not on the public internet, and the operator does not allow it")]
    NotPublic,
    /// No such name, connection refused, or TLS failed.
    #[error("could not connect")]
    Unreachable,
    /// The deadline passed.
    #[error("did not answer in time")]
    Timeout,
    /// The body is larger than the caller reads.
    #[error("answered with more than we read")]
    TooLarge,
    /// It wants us to go elsewhere; we do not.
    #[error("answered with a redirect, which is not followed")]
    Redirect,
    /// The connection broke, or it was not HTTP.
    #[error("broke off the connection")]
    Broken,
}

impl Outbound {
    /// A client under this policy.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        Self::with_lookup(policy, &resolver::system())
    }

    /// A client with its own idea of names.
    #[must_use]
    pub fn with_lookup(policy: Policy, lookup: &Lookup) -> Self {
        Self::with_roots(policy, Roots::default(), lookup)
    }

    /// A client that also believes certificates under `roots`, with its own idea of names.
    #[must_use]
    pub fn with_roots(policy: Policy, roots: Roots, lookup: &Lookup) -> Self {
        let lookup = Arc::clone(lookup);
        let pooled = |reach| client(reach, &roots, &lookup).build().expect(VALID);
        let (public, allowed) = (pooled(Reach::Public), pooled(Reach::Allowed));
        let inner = Inner { policy, roots, lookup, public, allowed, once: Default::default() };
        Self { inner: Arc::new(inner), by_admins: false }
    }

    /// The same for documents that a tenant's admin names: they may be at any host that is allowed.
    #[must_use]
    pub fn by_admins(&self) -> Self {
        Self { by_admins: true, ..self.clone() }
    }

    /// Whether a call to this address would be tried; the names behind it are vetted when dialled.
    ///
    /// # Errors
    /// [`Error::BadUrl`] or [`Error::NotPublic`].
    pub fn check(&self, url: &Url) -> Result<(), Error> {
        reach(url, &self.inner.policy.allowed).map(drop)
    }

    /// Make the call.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn send(&self, request: Request) -> Result<Response, Error> {
        let client = match reach(&request.url, &self.inner.policy.allowed)? {
            Reach::Public => &self.inner.public,
            Reach::Allowed => &self.inner.allowed,
        };
        complete(client, request).await
    }

    /// Read a document that a stranger named: over a connection of its own, so that the host is
    /// looked up and vetted each time, and for no longer than five seconds.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn read_document(
        &self,
        url: Url,
        accept: &'static str,
        max_bytes: usize,
    ) -> Result<Response, Error> {
        let policy = &self.inner.policy;
        let allowed = if self.by_admins { &policy.allowed } else { &policy.documents };
        let reach = reach(&url, allowed)?;
        let client = self.inner.once[reach as usize].get_or_init(|| {
            let client = client(reach, &self.inner.roots, &self.inner.lookup);
            client.pool_max_idle_per_host(0).build().expect(VALID)
        });
        let headers = HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]);
        let (method, body, deadline) = (Method::GET, None, DOCUMENT_DEADLINE);
        complete(client, Request { method, url, headers, body, deadline, max_bytes }).await
    }
}

/// Whether a call may be tried, given the hosts that the operator allows to be private.
fn reach(url: &Url, allowed: &[String]) -> Result<Reach, Error> {
    let host = url.host().ok_or(Error::BadUrl)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::BadUrl);
    }
    if is_among(url, allowed) && matches!(url.scheme(), "https" | "http") {
        return Ok(Reach::Allowed);
    }
    if url.scheme() != "https" {
        return Err(Error::BadUrl);
    }
    // An address in the URL never reaches the resolver.
    let special = match host {
        Host::Ipv4(address) => address::is_special_use(address.into()),
        Host::Ipv6(address) => address::is_special_use(address.into()),
        Host::Domain(_) => false,
    };
    if special { Err(Error::NotPublic) } else { Ok(Reach::Public) }
}

fn is_among(url: &Url, allowed: &[String]) -> bool {
    let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) else {
        return false;
    };
    let with_port = format!("{host}:{port}");
    allowed.iter().any(|allowed| {
        allowed.eq_ignore_ascii_case(host) || allowed.eq_ignore_ascii_case(&with_port)
    })
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound").field("policy", &self.inner.policy).finish_non_exhaustive()
    }
}

const VALID: &str = "these options are valid together";

fn client(reach: Reach, roots: &Roots, lookup: &Lookup) -> reqwest::ClientBuilder {
    let anywhere = matches!(reach, Reach::Allowed);
    Client::builder()
        .dns_resolver(Vetting { lookup: Arc::clone(lookup), anywhere })
        .tls_certs_merge(roots.certificates())
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .referer(false)
        .connect_timeout(Duration::from_secs(2))
        .user_agent(concat!("callslip/", env!("CARGO_PKG_VERSION")))
}

async fn complete(client: &Client, request: Request) -> Result<Response, Error> {
    // Nor for longer than anybody waits (spec row Q-08).
    tokio::time::timeout(deadline::at_most(request.deadline), exchange(client, request))
        .await
        .unwrap_or(Err(Error::Timeout))
}

async fn exchange(client: &Client, request: Request) -> Result<Response, Error> {
    let mut outgoing = client.request(request.method, request.url).headers(request.headers);
    if let Some(body) = request.body {
        outgoing = outgoing.body(body);
    }
    let mut incoming = outgoing.send().await.map_err(|error| kind(&error))?;
    if incoming.status().is_redirection() {
        return Err(Error::Redirect);
    }
    // An error says what it is by its status, however long its page.
    let is_whole = incoming.status() == StatusCode::OK;
    let announced = incoming.content_length().unwrap_or_default();
    if is_whole && usize::try_from(announced).is_ok_and(|length| length > request.max_bytes) {
        return Err(Error::TooLarge);
    }
    let mut body = Vec::new();
    while let Some(part) = incoming.chunk().await.map_err(|error| kind(&error))? {
        if body.len() + part.len() > request.max_bytes {
            if is_whole {
                return Err(Error::TooLarge);
            }
            break;
        }
        body.extend_from_slice(&part);
    }
    let status = incoming.status().as_u16();
    Ok(Response { status, headers: std::mem::take(incoming.headers_mut()), body })
}

fn kind(error: &reqwest::Error) -> Error {
    let mut cause: Option<&dyn std::error::Error> = Some(error);
    while let Some(inner) = cause {
        if inner.is::<NotPublic>() {
            return Error::NotPublic;
        }
        cause = inner.source();
    }
    if error.is_timeout() {
        Error::Timeout
    } else if error.is_connect() {
        Error::Unreachable
    } else {
        Error::Broken
    }
}

#[cfg(test)]
mod tests;
