//! How long a document need not be read again: RFC 9111 §4.2 within our bounds (spec row K-06).

use reqwest::header::{self, HeaderMap, HeaderName};
use time::{Duration, OffsetDateTime, format_description::well_known::Rfc2822};

const SHORTEST: Duration = Duration::minutes(5);
const LONGEST: Duration = Duration::hours(24);
/// Where the host says nothing.
const USUAL: Duration = Duration::hours(1);

/// For how long the answer with these headers serves.
pub fn life(headers: &HeaderMap) -> Duration {
    stated(headers).unwrap_or(USUAL).clamp(SHORTEST, LONGEST)
}

fn stated(headers: &HeaderMap) -> Option<Duration> {
    let mut seconds = None;
    let mut said_anything = false;
    for value in headers.get_all(header::CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            match name.trim().to_ascii_lowercase().as_str() {
                "no-store" | "no-cache" => return Some(Duration::ZERO),
                "max-age" => {
                    said_anything = true;
                    seconds = argument.trim().trim_matches('"').parse::<u32>().ok();
                }
                _ => {}
            }
        }
    }
    if said_anything {
        // Nonsense counts as stale: RFC 9111 §4.2.1.
        return Some(Duration::seconds(seconds.unwrap_or(0).into()) - age(headers));
    }
    headers.contains_key(header::EXPIRES).then(|| {
        let ends = date(headers, header::EXPIRES);
        let begins = date(headers, header::DATE);
        ends.zip(begins).map_or(Duration::ZERO, |(ends, begins)| ends - begins)
    })
}

/// How long it was kept on its way.
fn age(headers: &HeaderMap) -> Duration {
    let seconds = headers.get(header::AGE).and_then(|age| age.to_str().ok()?.parse::<u32>().ok());
    Duration::seconds(seconds.unwrap_or(0).into())
}

fn date(headers: &HeaderMap, name: HeaderName) -> Option<OffsetDateTime> {
    OffsetDateTime::parse(headers.get(name)?.to_str().ok()?, &Rfc2822).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hosts_word_counts_within_the_bounds() {
        const DATE: (&str, &str) = ("date", "Fri, 20 Nov 2026 10:00:00 GMT");
        for (headers, minutes) in [
            (vec![], 60),
            (vec![("cache-control", "max-age=1200")], 20),
            (vec![("cache-control", "public, Max-Age=\"1200\"")], 20),
            (vec![("cache-control", "public"), ("cache-control", "max-age=1200")], 20),
            (vec![("cache-control", "max-age=1200"), ("age", "300")], 15),
            (vec![("cache-control", "max-age=1200"), ("age", "90000")], 5),
            (vec![("cache-control", "s-maxage=1200")], 60),
            (vec![("cache-control", "max-age=0")], 5),
            (vec![("cache-control", "max-age=1")], 5),
            (vec![("cache-control", "max-age=-1")], 5),
            (vec![("cache-control", "max-age=x")], 5),
            (vec![("cache-control", "max-age=31536000")], 24 * 60),
            (vec![("cache-control", "max-age=99999999999999999999")], 5),
            (vec![("cache-control", "no-store")], 5),
            (vec![("cache-control", "max-age=1200, no-cache")], 5),
            (vec![DATE, ("expires", "Fri, 20 Nov 2026 10:30:00 GMT")], 30),
            (vec![DATE, ("expires", "Fri, 20 Nov 2026 09:30:00 GMT")], 5),
            (vec![DATE, ("expires", "Thu, 20 Nov 2036 10:00:00 GMT")], 24 * 60),
            (vec![DATE, ("expires", "0")], 5),
            (
                vec![
                    DATE,
                    ("expires", "Fri, 20 Nov 2026 10:30:00 GMT"),
                    ("cache-control", "max-age=600"),
                ],
                10,
            ),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in &headers {
                map.append(*name, value.parse().unwrap());
            }
            assert_eq!(life(&map), Duration::minutes(minutes), "{headers:?}");
        }
    }
}
