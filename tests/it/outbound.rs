//! The way out, against hosts that speak TLS.

use std::time::{Duration, Instant};

use callslip::outbound::{Error, Outbound, Policy};

use crate::support::document_host::{DocumentHost, Reply, roots};

const URL: &str = "https://documents.example/oauth/client.json";

async fn read(outbound: &Outbound) -> Result<Vec<u8>, Error> {
    let answer = outbound.read_document(URL.parse().unwrap(), "application/json", 5120).await?;
    Ok(answer.body)
}

/// [K-02] The name in the URL is the name in TLS and in `Host`, whatever address it led to, and
/// every call looks the name up and dials anew.
#[tokio::test]
async fn every_read_is_a_connection_of_its_own_under_the_hosts_name() {
    let host = DocumentHost::start(&["documents.example"]).await;
    // A host that would keep the connection.
    let kept = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
    host.say(URL, Reply::Bytes(kept.into()));
    let outbound = host.outbound();
    for _ in 0..3 {
        assert_eq!(read(&outbound).await.unwrap(), b"{}");
    }
    assert_eq!(host.connections(), 3);
    for seen in host.seen() {
        assert_eq!((seen.sni.as_str(), seen.request), ("documents.example", format!("GET {URL}")));
        assert_eq!(seen.headers["accept"], "application/json");
        for name in ["accept-encoding", "cookie", "authorization", "referer"] {
            assert!(!seen.headers.contains_key(name), "{name}");
        }
    }
}

/// An organisation's own authority is believed where the operator names it, and nowhere else.
#[tokio::test]
async fn only_named_authorities_are_believed() {
    let host = DocumentHost::start(&["documents.example"]).await;
    host.say(URL, Reply::new(200, &[], "{}"));
    assert_eq!(read(&host.outbound()).await.unwrap(), b"{}");
    let policy = Policy { documents: vec!["documents.example".to_owned()], ..Policy::default() };
    let strangers = Outbound::with_lookup(policy, &host.lookup());
    assert_eq!(read(&strangers).await.unwrap_err(), Error::Unreachable);
    assert_eq!(host.seen().len(), 1);
}

/// What admins may name, strangers may not: the way to a private vector store leads to no document.
#[tokio::test]
async fn a_vector_store_s_host_is_no_document_s() {
    let host = DocumentHost::start(&[]).await;
    host.say(URL, Reply::new(200, &[], "{}"));
    let policy = Policy { allowed: vec!["documents.example".to_owned()], ..Policy::default() };
    let outbound = Outbound::with_roots(policy, roots(), &host.lookup());
    assert_eq!(outbound.check(&URL.parse().unwrap()), Ok(()));
    assert_eq!(read(&outbound).await.unwrap_err(), Error::NotPublic);
    assert_eq!(host.connections(), 0);
    // A provider that an admin named may be there.
    assert_eq!(read(&outbound.by_admins()).await.unwrap(), b"{}");
}

/// [K-02] A believed certificate does not make a private address public.
#[tokio::test]
async fn a_believed_certificate_opens_no_private_address() {
    let host = DocumentHost::start(&[]).await;
    let outbound = Outbound::with_roots(Policy::default(), roots(), &host.lookup());
    assert_eq!(read(&outbound).await.unwrap_err(), Error::NotPublic);
    assert_eq!(host.connections(), 0);
}

/// [K-03] Five seconds for everything: a body that drips, and a host that says nothing.
#[tokio::test]
async fn a_read_takes_five_seconds_at_most() {
    let host = DocumentHost::start(&["documents.example"]).await;
    let outbound = host.outbound();
    let drip = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{";
    for reply in [Reply::Drip(drip.into()), Reply::Silence] {
        host.say(URL, reply);
        let begun = Instant::now();
        assert_eq!(read(&outbound).await.unwrap_err(), Error::Timeout);
        let taken = begun.elapsed();
        assert!(Duration::from_secs(4) < taken && taken < Duration::from_secs(7), "{taken:?}");
    }
}
