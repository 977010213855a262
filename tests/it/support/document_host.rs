//! The rest of the internet, on loopback: a TLS server that is every host that a test names, and
//! the way out that leads there.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use callslip::outbound::{Lookup, Outbound, Policy, Roots};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::aws_lc_rs,
        pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer},
        server::{ClientHello, ResolvesServerCert},
        sign::CertifiedKey,
    },
    server::TlsStream,
};

/// What the host says at one address.
#[derive(Clone, Debug)]
pub enum Reply {
    /// These bytes, and then the end.
    Bytes(Vec<u8>),
    /// These bytes, and then one more every 20 ms.
    Drip(Vec<u8>),
    /// Nothing, while the connection stays open.
    Silence,
}

impl Reply {
    /// An answer with these headers.
    pub fn new(status: u16, headers: &[(&str, &str)], body: &str) -> Self {
        let mut text = format!("HTTP/1.1 {status} Said\r\ncontent-length: {}\r\n", body.len());
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        text.push_str("connection: close\r\n\r\n");
        text.push_str(body);
        Self::Bytes(text.into_bytes())
    }

    /// A document as it should be served.
    pub fn json(document: &Value) -> Self {
        Self::new(200, &[("content-type", "application/json")], &document.to_string())
    }
}

/// A request that came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The name in TLS.
    pub sni: String,
    /// `GET https://host/path`, from the `Host` header and the request line.
    pub request: String,
    /// Lower-case names.
    pub headers: HashMap<String, String>,
}

#[derive(Default)]
struct State {
    replies: HashMap<String, Reply>,
    seen: Vec<Seen>,
}

/// The server. Clones share.
#[derive(Clone)]
pub struct DocumentHost {
    port: u16,
    hosts: Arc<Vec<String>>,
    state: Arc<Mutex<State>>,
    connections: Arc<AtomicUsize>,
    open: Arc<Gauge>,
    gate: Arc<watch::Sender<bool>>,
}

/// How many are open, and how many ever were at once.
#[derive(Default)]
struct Gauge {
    now: AtomicUsize,
    most: AtomicUsize,
}

impl DocumentHost {
    /// Is these hosts, at the port that https has.
    pub async fn start(hosts: &[&str]) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let host = Self {
            port: listener.local_addr().unwrap().port(),
            hosts: Arc::new(hosts.iter().map(|host| (*host).to_owned()).collect()),
            state: Arc::default(),
            connections: Arc::default(),
            open: Arc::default(),
            gate: Arc::new(watch::channel(true).0),
        };
        let server = host.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server.connections.fetch_add(1, Ordering::SeqCst);
                let server = server.clone();
                tokio::spawn(async move { server.serve(stream).await });
            }
        });
        host
    }

    /// Serve a document at its own `client_id`.
    pub fn put(&self, document: &Value) {
        self.say(document["client_id"].as_str().unwrap(), Reply::json(document));
    }

    /// Answer in this way from now on.
    pub fn say(&self, url: &str, reply: Reply) {
        self.state.lock().unwrap().replies.insert(url.to_owned(), reply);
    }

    /// Take every request and answer none, until told otherwise.
    pub fn hold(&self) {
        self.gate.send_replace(false);
    }

    /// Answer again.
    pub fn release(&self) {
        self.gate.send_replace(true);
    }

    /// Everything that was asked for here.
    pub fn seen(&self) -> Vec<Seen> {
        self.state.lock().unwrap().seen.clone()
    }

    /// How often this address was asked for.
    pub fn asked_for(&self, url: &str) -> usize {
        let request = format!("GET {url}");
        self.seen().iter().filter(|seen| seen.request == request).count()
    }

    /// How many connections were opened.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// How many requests were ever open at once.
    pub fn most_at_once(&self) -> usize {
        self.open.most.load(Ordering::SeqCst)
    }

    /// Wait until so many requests are open.
    pub async fn until_open(&self, requests: usize) {
        while self.open.now.load(Ordering::SeqCst) < requests {
            tokio::task::yield_now().await;
        }
    }

    /// A way out on which every name leads here, for an operator who allows these hosts.
    pub fn outbound(&self) -> Outbound {
        let policy = Policy { allowed: self.hosts.to_vec(), documents: self.hosts.to_vec() };
        Outbound::with_roots(policy, roots(), &self.lookup())
    }

    /// Every name is this server.
    pub fn lookup(&self) -> Lookup {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        Arc::new(move |_| Box::pin(async move { Ok(vec![address]) }))
    }

    async fn serve(&self, stream: TcpStream) -> Option<()> {
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .ok()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(AnyHost));
        let mut stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.ok()?;
        let sni = stream.get_ref().1.server_name().unwrap_or_default().to_owned();
        while self.answer(&mut stream, &sni).await? {}
        stream.shutdown().await.ok()
    }

    /// Take one request; `true` where the connection stays open for another.
    async fn answer(&self, stream: &mut TlsStream<TcpStream>, sni: &str) -> Option<bool> {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.ok()?);
        }
        let seen = parse(sni, &String::from_utf8(head).ok()?);
        let now = self.open.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.open.most.fetch_max(now, Ordering::SeqCst);
        let _closing = Closing(&self.open);
        let url = seen.request.trim_start_matches("GET ").to_owned();
        self.state.lock().unwrap().seen.push(seen);
        self.gate.subscribe().wait_for(|open| *open).await.ok()?;
        let reply = self.state.lock().unwrap().replies.get(&url).cloned();
        match reply.unwrap_or_else(|| Reply::new(404, &[], "")) {
            Reply::Bytes(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                stream.flush().await.ok()?;
                Some(!String::from_utf8_lossy(&bytes).contains("connection: close"))
            }
            Reply::Drip(bytes) => {
                stream.write_all(&bytes).await.ok()?;
                while stream.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Some(false)
            }
            Reply::Silence => {
                let _ = stream.read_u8().await;
                Some(false)
            }
        }
    }
}

struct Closing<'a>(&'a Gauge);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.now.fetch_sub(1, Ordering::SeqCst);
    }
}

fn parse(sni: &str, head: &str) -> Seen {
    let mut lines = head.lines();
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (first.next().unwrap_or_default(), first.next().unwrap_or_default());
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let host = headers.get("host").map(String::as_str).unwrap_or_default();
    Seen { sni: sni.to_owned(), request: format!("{method} https://{host}{path}"), headers }
}

/// The authority that tests believe.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

static AUTHORITY: LazyLock<Authority> = LazyLock::new(|| {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority { pem, issuer: Issuer::new(params, key) }
});

/// The authority's certificate.
pub fn ca_pem() -> &'static str {
    &AUTHORITY.pem
}

/// What trusts the authority.
pub fn roots() -> Roots {
    Roots::from_pem(ca_pem().as_bytes()).unwrap()
}

/// Has a certificate for whatever host it is taken for.
#[derive(Debug)]
struct AnyHost;

impl ResolvesServerCert for AnyHost {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        static MADE: LazyLock<Mutex<HashMap<String, Arc<CertifiedKey>>>> =
            LazyLock::new(Mutex::default);
        let name = hello.server_name()?.to_owned();
        let mut made = MADE.lock().ok()?;
        let certified = made.entry(name.clone()).or_insert_with(|| Arc::new(certify(name)));
        Some(Arc::clone(certified))
    }
}

fn certify(name: String) -> CertifiedKey {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name]).unwrap();
    let certificate = params.signed_by(&key, &AUTHORITY.issuer).unwrap();
    let chain = vec![CertificateDer::from(certificate.der().to_vec())];
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider()).unwrap()
}
