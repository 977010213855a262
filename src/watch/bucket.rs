//! A bucket behind the S3 API: what is in it, and an object's content.

use std::time::Duration;

use reqwest::{Method, Url};

use super::{
    Found, Unavailable,
    listing::{self, Listing},
    sigv4::{self, Get, Signer},
};
use crate::{
    clock::Clock,
    fault::Fault,
    outbound::{Outbound, Request, Response},
    secret::Secret,
};

const LIST_DEADLINE: Duration = Duration::from_secs(20);
const READ_DEADLINE: Duration = Duration::from_secs(60);
/// A page of a thousand objects with the longest keys.
const LIST_BYTES: usize = 8 << 20;

/// Where a bucket is, and whose keys open it.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    /// Without a trailing slash: the bucket is named in the path.
    pub(super) endpoint: String,
    pub(super) name: String,
    pub(super) region: String,
    pub(super) prefix: String,
    pub(super) access_key_id: String,
    pub(super) secret: Secret,
}

impl Bucket {
    /// Everything below the prefix, up to so many objects.
    pub(super) async fn list(
        &self,
        (outbound, clock): (&Outbound, &Clock),
        most: usize,
    ) -> Result<Result<Vec<Found>, Unavailable>, Fault> {
        let (mut found, mut next) = (Vec::new(), None::<String>);
        loop {
            let mut pairs =
                vec![("list-type", "2"), ("encoding-type", "url"), ("prefix", &self.prefix)];
            if let Some(token) = &next {
                pairs.push(("continuation-token", token));
            }
            let asked = (String::new(), sigv4::query(&pairs));
            let limits = (LIST_DEADLINE, LIST_BYTES);
            let response = match self.get((outbound, clock), asked, limits).await? {
                Ok(response) => response,
                Err(unavailable) => return Ok(Err(unavailable)),
            };
            let page = std::str::from_utf8(&response.body).ok().and_then(listing::parse);
            let Some(Listing { objects, next: following }) = page else {
                return Ok(Err(Unavailable("the bucket answered with something else than a list")));
            };
            found.extend(objects.into_iter().map(|object| Found {
                mark: format!("{} {}", object.etag, object.size),
                size: object.size,
                path: object.key,
            }));
            if found.len() > most {
                return Ok(Err(Unavailable("the bucket holds more than 10,000 files there")));
            }
            next = following;
            if next.is_none() {
                return Ok(Ok(found));
            }
        }
    }

    /// An object's content.
    pub(super) async fn read(
        &self,
        with: (&Outbound, &Clock),
        key: &str,
        most: usize,
    ) -> Result<Result<Vec<u8>, Unavailable>, Fault> {
        // A URL has no such segments: they would name another object.
        if key.split('/').any(|segment| matches!(segment, "." | "..")) {
            return Ok(Err(Unavailable("the object's name cannot be asked for")));
        }
        let asked = (sigv4::encode_path(key), String::new());
        let response = self.get(with, asked, (READ_DEADLINE, most)).await?;
        Ok(response.map(|response| response.body))
    }

    async fn get(
        &self,
        (outbound, clock): (&Outbound, &Clock),
        (key, query): (String, String),
        (deadline, max_bytes): (Duration, usize),
    ) -> Result<Result<Response, Unavailable>, Fault> {
        let endpoint: Url = match self.endpoint.parse() {
            Ok(endpoint) => endpoint,
            Err(_) => return Ok(Err(Unavailable("the endpoint is not a URL"))),
        };
        let base = endpoint.path().trim_end_matches('/').to_owned();
        let path = format!("{base}/{}/{key}", sigv4::encode(&self.name));
        let mut url = endpoint.clone();
        url.set_path(&path);
        url.set_query((!query.is_empty()).then_some(query.as_str()));
        let host = match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Ok(Err(Unavailable("the endpoint is not a URL"))),
        };
        let signer = Signer {
            access_key_id: &self.access_key_id,
            secret: &self.secret,
            region: &self.region,
        };
        let get = Get { host: &host, path: &path, query: &query, headers: &[] };
        let headers = signer.sign(&get, clock.now())?;
        let method = Method::GET;
        let request = Request { method, url, headers, body: None, deadline, max_bytes };
        Ok(match outbound.send(request).await {
            Ok(response) if response.status == 200 => Ok(response),
            Ok(response) => Err(refusal(response.status)),
            Err(error) => Err(why(error)),
        })
    }
}

/// In our own words: what the other side says may be anything.
const fn refusal(status: u16) -> Unavailable {
    Unavailable(match status {
        400 => "the bucket refused the request: check region and endpoint",
        401 | 403 => "the bucket refused the keys: check them, and that they may list and read",
        404 => "there is no such bucket, or the file is gone",
        429 | 503 => "the bucket is busy: it is tried again later",
        _ => "the bucket failed: it is tried again later",
    })
}

const fn why(error: crate::outbound::Error) -> Unavailable {
    use crate::outbound::Error;
    Unavailable(match error {
        Error::BadUrl => "the endpoint must be https://host, without a user name",
        Error::NotPublic => {
            "the endpoint is not on the public internet, and the operator does not allow it"
        }
        Error::Unreachable => "could not connect to the endpoint",
        Error::Timeout => "the bucket did not answer in time",
        Error::TooLarge => "the file is larger than 25 MiB",
        Error::Redirect => "the bucket is elsewhere: check endpoint and region",
        Error::Broken => "the bucket broke off the connection",
    })
}
