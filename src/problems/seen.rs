//! What has been seen and is not written yet.

use std::collections::BTreeMap;

use time::{Duration, OffsetDateTime};

use super::Kind;

/// The longest detail.
const DETAIL: usize = 100;
/// How long after a kind was written it is not written again.
const PAUSE: Duration = Duration::MINUTE;

/// Sightings of one kind since the last time they were written.
pub(super) struct Sighting {
    pub(super) kind: Kind,
    pub(super) detail: String,
    pub(super) at: OffsetDateTime,
    pub(super) seen: i64,
}

/// One place for each kind, so strangers cannot fill it.
#[derive(Default)]
pub(super) struct Sightings {
    unwritten: BTreeMap<Kind, Sighting>,
    written: BTreeMap<Kind, OffsetDateTime>,
}

impl Sightings {
    /// One more. Whether there is something to write now.
    pub(super) fn add(&mut self, kind: Kind, detail: &str, at: OffsetDateTime) -> bool {
        if let Some(sighting) = self.unwritten.get_mut(&kind) {
            sighting.seen += 1;
            sighting.at = at;
        } else {
            let detail = cleaned(detail);
            self.unwritten.insert(kind, Sighting { kind, detail, at, seen: 1 });
        }
        self.is_due(kind, at)
    }

    /// However the clock was set meanwhile.
    fn is_due(&self, kind: Kind, now: OffsetDateTime) -> bool {
        self.written.get(&kind).is_none_or(|at| (now - *at).abs() >= PAUSE)
    }

    pub(super) fn take_due(&mut self, now: OffsetDateTime) -> Vec<Sighting> {
        let due = self.unwritten.keys().copied().filter(|kind| self.is_due(*kind, now));
        let due: Vec<Kind> = due.collect();
        self.written.extend(due.iter().map(|kind| (*kind, now)));
        due.iter().filter_map(|kind| self.unwritten.remove(kind)).collect()
    }

    pub(super) fn take_all(&mut self) -> Vec<Sighting> {
        std::mem::take(&mut self.unwritten).into_values().collect()
    }

    /// It was not written after all.
    pub(super) fn put_back(&mut self, old: Sighting) {
        let sighting = self.unwritten.entry(old.kind).or_insert(Sighting { seen: 0, ..old });
        sighting.seen += old.seen;
    }
}

/// Nothing but visible ASCII, and not much of it: it is for logs and pages, whoever wrote it.
fn cleaned(detail: &str) -> String {
    let visible = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    detail.chars().take(DETAIL).map(visible).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_detail_is_short_and_harmless() {
        let forged = cleaned("evil.example\r\n2026-01-01 WARN \u{1b}[2J\u{202e}é");
        assert_eq!(forged, "evil.example??2026-01-01 WARN ?[2J??");
        assert_eq!(cleaned(&"ü".repeat(5000)).len(), DETAIL);
    }

    /// However many there are, a kind is written once a minute, and none of them is lost.
    #[test]
    fn a_flood_is_written_once_a_minute() {
        let mut sightings = Sightings::default();
        let start = OffsetDateTime::UNIX_EPOCH;
        let mut written = Vec::new();
        for tenth in 0..1200 {
            let now = start + Duration::milliseconds(100 * tenth);
            if sightings.add(Kind::Host, &format!("host-{tenth}.example"), now) {
                written.extend(sightings.take_due(now));
            }
        }
        assert_eq!(written.iter().map(|one| one.seen).collect::<Vec<_>>(), [1, 600]);
        assert!(sightings.add(Kind::Proxy, "10.0.0.1", start), "another kind need not wait");
        let rest: i64 = sightings.take_all().iter().map(|one| one.seen).sum();
        assert_eq!(rest, 599 + 1);
    }
}
