//! AWS Signature Version 4 for requests without a body, as S3 wants it: "Authenticating Requests:
//! Using the Authorization Header".

use hmac::{Hmac, KeyInit, Mac};
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use sha2::{Digest, Sha256};
use time::{
    OffsetDateTime, UtcOffset, format_description::BorrowedFormatItem, macros::format_description,
};

use crate::{fault::Fault, secret::Secret};

/// The SHA-256 of nothing.
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Who signs, and where that holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signer<'a> {
    pub(super) access_key_id: &'a str,
    pub(super) secret: &'a Secret,
    pub(super) region: &'a str,
}

/// A GET, in the parts that are signed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Get<'a> {
    /// With the port, where the URL has one.
    pub(super) host: &'a str,
    /// Encoded: see [`encode_path`].
    pub(super) path: &'a str,
    /// Encoded, and in the order of the names: see [`query`].
    pub(super) query: &'a str,
    /// Further headers: lower-case names, values without spaces around them.
    pub(super) headers: &'a [(&'a str, &'a str)],
}

impl Signer<'_> {
    /// The headers that make a request count.
    pub(super) fn sign(&self, get: &Get<'_>, now: OffsetDateTime) -> Result<HeaderMap, Fault> {
        let (date, time) = (stamp(now, DAY)?, stamp(now, MOMENT)?);
        let mut signed = vec![("host", get.host), ("x-amz-content-sha256", EMPTY)];
        signed.push(("x-amz-date", &time));
        signed.extend_from_slice(get.headers);
        signed.sort_unstable();
        let names: Vec<&str> = signed.iter().map(|(name, _)| *name).collect();
        let names = names.join(";");
        let lines: String =
            signed.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
        let request = format!("GET\n{}\n{}\n{lines}\n{names}\n{EMPTY}", get.path, get.query);
        let scope = format!("{date}/{}/s3/aws4_request", self.region);
        let digest = hex(&Sha256::digest(request));
        let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{digest}");
        let signature = hex(&mac(&self.key(&date), &text));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
            self.access_key_id
        );
        let mut headers = HeaderMap::new();
        let mut authorization = HeaderValue::from_str(&authorization)?;
        authorization.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, authorization);
        for (name, value) in signed.into_iter().filter(|(name, _)| *name != "host") {
            headers.insert(HeaderName::from_bytes(name.as_bytes())?, HeaderValue::from_str(value)?);
        }
        Ok(headers)
    }

    fn key(&self, date: &str) -> [u8; 32] {
        let first = format!("AWS4{}", self.secret.expose());
        [self.region, "s3", "aws4_request"]
            .iter()
            .fold(mac(first.as_bytes(), date), |key, part| mac(&key, part))
    }
}

const DAY: &[BorrowedFormatItem<'_>] = format_description!("[year][month][day]");
const MOMENT: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

fn stamp(at: OffsetDateTime, format: &[BorrowedFormatItem<'_>]) -> Result<String, Fault> {
    Ok(at.to_offset(UtcOffset::UTC).format(format)?)
}

fn mac(key: &[u8], text: &str) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is one");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Everything but letters, digits and `-._~`, in upper-case escapes.
pub(super) fn encode(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut all, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            all.push(char::from(byte));
        } else {
            let _ = write!(all, "%{byte:02X}");
        }
        all
    })
}

/// The same, with its slashes as they are.
pub(super) fn encode_path(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// A query, in the order that is signed.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut pairs: Vec<(String, String)> =
        pairs.iter().map(|(name, value)| (encode(name), encode(value))).collect();
    pairs.sort_unstable();
    pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use time::macros::datetime;

    use super::*;

    /// The examples of the S3 API reference, "Signature Calculations for the Authorization Header".
    #[test]
    fn the_published_examples_come_out() {
        let secret = Secret::new("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned());
        let signer =
            Signer { access_key_id: "AKIAIOSFODNN7EXAMPLE", secret: &secret, region: "us-east-1" };
        let get = |path, query, headers| Get {
            host: "examplebucket.s3.amazonaws.com",
            path,
            query,
            headers,
        };
        let list = query(&[("prefix", "J"), ("max-keys", "2")]);
        for (get, expected) in [
            (
                get("/test.txt", "", &[("range", "bytes=0-9")]),
                "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41",
            ),
            (
                get("/", "lifecycle=", &[]),
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                get("/", &list, &[]),
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let headers = signer.sign(&get, datetime!(2013-05-24 00:00 UTC)).unwrap();
            let authorization = &headers[header::AUTHORIZATION];
            assert!(authorization.is_sensitive());
            let (_, signature) = authorization.to_str().unwrap().split_once("Signature=").unwrap();
            assert_eq!(signature, expected);
        }
    }

    #[test]
    fn names_are_escaped_as_they_are_signed() {
        assert_eq!(encode("a/ü b+~"), "a%2F%C3%BC%20b%2B~");
        assert_eq!(encode_path("/a b/(c)"), "/a%20b/%28c%29");
        assert_eq!(query(&[("b", "=&"), ("a", "")]), "a=&b=%3D%26");
    }
}
