use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;

/// A server on loopback that counts connections and answers each with `answer`, then, if told to,
/// drips a byte at a time until it is cut off.
async fn server(answer: &'static str, drip: bool) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let _ = stream.write_all(answer.as_bytes()).await;
                while drip && stream.write_all(b"1\r\nx\r\n").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    });
    (port, connections)
}

fn get(url: &str) -> Request {
    Request {
        method: Method::GET,
        url: url.parse().unwrap(),
        headers: HeaderMap::new(),
        body: None,
        deadline: Duration::from_secs(5),
        max_bytes: 1024,
    }
}

fn allowing(port: u16) -> Outbound {
    let hosts = vec![format!("127.0.0.1:{port}")];
    Outbound::new(Policy { allowed: hosts.clone(), documents: hosts })
}

/// Answers each look-up with the next of `answers`, and the last one from then on.
fn answering(answers: &[Vec<&str>]) -> Lookup {
    let parsed = |address: &&str| SocketAddr::new(address.parse::<IpAddr>().unwrap(), 0);
    let answers: Vec<Vec<SocketAddr>> =
        answers.iter().map(|one| one.iter().map(parsed).collect()).collect();
    let calls = AtomicUsize::new(0);
    Arc::new(move |_| {
        let call = calls.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
        let answer = answers[call].clone();
        Box::pin(async move { Ok(answer) })
    })
}

const HELLO: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello";

/// [O-01] A private address is reached only when the operator allows that host and port.
#[tokio::test]
async fn loopback_is_reached_only_when_allowed() {
    let (port, connections) = server(HELLO, false).await;
    let url = format!("http://127.0.0.1:{port}/");
    let answer = allowing(port).send(get(&url)).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (200, b"hello".as_slice()));
    assert_eq!(connections.load(Ordering::SeqCst), 1);

    let strict = Outbound::new(Policy::default());
    assert_eq!(strict.send(get(&url)).await.unwrap_err(), Error::BadUrl);
    let elsewhere = allowing(port + 1);
    assert_eq!(elsewhere.send(get(&url)).await.unwrap_err(), Error::BadUrl);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// [K-02] Addresses in the URL itself, in every spelling that a URL parser reads as one.
#[tokio::test]
async fn literal_addresses_are_vetted() {
    let strict = Outbound::new(Policy::default());
    for url in [
        "https://127.0.0.1/",
        "https://127.1/",
        "https://0x7f000001/",
        "https://2130706433/",
        "https://0177.0.0.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00::1]/",
        "https://10.0.0.1:8443/",
        "https://0.0.0.0/",
        "https://[64:ff9b::a00:1]/",
        "https://127\u{3002}0.0.1/",
    ] {
        assert_eq!(strict.send(get(url)).await.unwrap_err(), Error::NotPublic, "{url}");
    }
    for url in ["http://example.com/", "ftp://example.com/", "https://me:pw@example.com/"] {
        assert_eq!(strict.send(get(url)).await.unwrap_err(), Error::BadUrl, "{url}");
    }
}

/// [K-02] One private address among public ones is enough to refuse a name.
#[tokio::test]
async fn a_name_with_any_private_address_is_refused() {
    for answer in [
        vec!["127.0.0.1"],
        vec!["1.1.1.1", "10.0.0.1"],
        vec!["2606:4700::1", "::1"],
        vec!["169.254.169.254"],
        vec!["::ffff:10.0.0.1"],
        vec!["100.64.0.1"],
        vec!["fd00::1"],
    ] {
        let outbound =
            Outbound::with_lookup(Policy::default(), &answering(std::slice::from_ref(&answer)));
        let refused = outbound.send(get("https://example.com/")).await.unwrap_err();
        assert_eq!(refused, Error::NotPublic, "{answer:?}");
    }
}

/// [K-05] A name that is public when first asked and loopback afterwards never reaches loopback.
#[tokio::test]
async fn rebinding_does_not_reach_loopback() {
    let (port, connections) = server(HELLO, false).await;
    // 203.0.113.0/24 is special-use too, so a public address that drops packets stands in.
    let lookup = answering(&[vec!["192.31.196.1"], vec!["127.0.0.1"]]);
    let outbound = Outbound::with_lookup(Policy::default(), &lookup);
    let url = format!("https://rebinding.example:{port}/");
    let mut first = get(&url);
    first.deadline = Duration::from_millis(200);
    let error = outbound.send(first).await.unwrap_err();
    assert!(matches!(error, Error::Timeout | Error::Unreachable), "{error:?}");
    assert_eq!(outbound.send(get(&url)).await.unwrap_err(), Error::NotPublic);
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    const AWAY: &str = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\n\
                        content-length: 0\r\nconnection: close\r\n\r\n";
    let (port, connections) = server(AWAY, false).await;
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(allowing(port).send(get(&url)).await.unwrap_err(), Error::Redirect);
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// [FX-18] A body that drips ends at the deadline, and one without end at the ceiling.
#[tokio::test]
async fn a_drip_ends_at_the_deadline_and_a_flood_at_the_ceiling() {
    const ENDLESS: &str =
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    let (port, _) = server(ENDLESS, true).await;
    let url = format!("http://127.0.0.1:{port}/");
    let mut request = get(&url);
    request.deadline = Duration::from_millis(300);
    let started = Instant::now();
    assert_eq!(allowing(port).send(request).await.unwrap_err(), Error::Timeout);
    assert!(started.elapsed() < Duration::from_millis(1_500));

    let mut request = get(&url);
    request.max_bytes = 10;
    assert_eq!(allowing(port).send(request).await.unwrap_err(), Error::TooLarge);

    const LARGE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 5000000000\r\n\r\nx";
    let (port, _) = server(LARGE, false).await;
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(allowing(port).send(get(&url)).await.unwrap_err(), Error::TooLarge);
}

#[tokio::test]
async fn nobody_there_and_nonsense_are_told_apart() {
    let (port, _) = server("SSH-2.0-OpenSSH_9.2\r\n\r\n", false).await;
    let url = format!("http://127.0.0.1:{port}/");
    assert_eq!(allowing(port).send(get(&url)).await.unwrap_err(), Error::Broken);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let free = listener.local_addr().unwrap().port();
    drop(listener);
    let url = format!("http://127.0.0.1:{free}/");
    assert_eq!(allowing(free).send(get(&url)).await.unwrap_err(), Error::Unreachable);
}

/// [K-02] Proxies in the environment are ignored: the test below runs again in a process whose
/// environment names one, and nothing comes there.
#[tokio::test]
async fn no_proxy_of_the_environments_is_used() {
    let (proxy, connections) = server(HELLO, false).await;
    let proxy = format!("http://127.0.0.1:{proxy}");
    let mut child = tokio::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "--include-ignored", "outbound::tests::a_server_is_reached_directly"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, &proxy).env(name.to_lowercase(), &proxy);
    }
    child.env_remove("REQUEST_METHOD").env_remove("NO_PROXY").env_remove("no_proxy");
    let output = child.output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
#[ignore = "run by the test above, in another environment"]
async fn a_server_is_reached_directly() {
    let (port, connections) = server(HELLO, false).await;
    let url = format!("http://127.0.0.1:{port}/");
    let outbound = allowing(port);
    assert_eq!(outbound.send(get(&url)).await.unwrap().status, 200);
    let read = outbound.read_document(url.parse().unwrap(), "*/*", 1024).await;
    assert_eq!(read.unwrap().body, b"hello");
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}
