//! What came of the golden questions, as the page prints it.

use super::super::{
    document,
    view::{self, Moment},
};
use crate::{
    golden::{Expected, Measured, Question, Rank, Report, Score},
    ids::GoldenQuestionId,
    search::{Reference, Target},
};

pub(super) struct Run {
    pub(super) when: Moment,
    pub(super) fingerprint: String,
    pub(super) asked: String,
}

pub(super) struct Number {
    pub(super) name: &'static str,
    pub(super) now: String,
    pub(super) before: Option<String>,
    /// `better`, `worse` or nothing.
    pub(super) change: &'static str,
}

pub(super) struct Line {
    pub(super) id: GoldenQuestionId,
    pub(super) text: String,
    pub(super) store: String,
    /// Title and link.
    pub(super) expected: Vec<(String, String)>,
    pub(super) deleted: usize,
    pub(super) now: String,
    pub(super) is_missed: bool,
    pub(super) before: String,
    /// `better`, `worse` or nothing.
    pub(super) change: &'static str,
    pub(super) delete_url: String,
}

pub(super) fn run_of(measured: &Measured) -> Run {
    let asked = i64::try_from(measured.score.asked).unwrap_or(i64::MAX);
    Run {
        when: measured.at.into(),
        fingerprint: measured.fingerprint.clone(),
        asked: view::count(asked, "question", "questions"),
    }
}

/// The newest run's numbers, and beside them what the one before the last change had, over the
/// questions that both asked.
pub(super) fn numbers(report: &Report) -> Vec<Number> {
    let Some(now) = &report.now else { return Vec::new() };
    let before = report.before.as_ref().map(|before| before.score);
    let number = |name, value: fn(&Score) -> f64, print: fn(f64) -> String| {
        let change = before.map(|before| change(value(&report.now_of_before), value(&before)));
        Number {
            name,
            now: print(value(&now.score)),
            before: before.map(|before| print(value(&before))),
            change: change.unwrap_or_default(),
        }
    };
    let percent = |value: f64| format!("{value:.0} %");
    vec![
        number("First result", |score| score.percent(score.first), percent),
        number("Among the first 5", |score| score.percent(score.five), percent),
        number("Among the first 10", |score| score.percent(score.ten), percent),
        number(
            "Mean reciprocal rank",
            |score| score.mean_reciprocal_rank,
            |value| format!("{value:.2}"),
        ),
    ]
}

fn change(now: f64, before: f64) -> &'static str {
    if (now - before).abs() < 1e-9 {
        ""
    } else if now > before {
        "better"
    } else {
        "worse"
    }
}

pub(super) fn line((question, now, before): (Question, Rank, Rank), base: &str) -> Line {
    // The higher the better; a question that was not asked cannot be compared.
    let worth = |rank| match rank {
        Rank::At(rank) => Some(1.0 / f64::from(rank)),
        Rank::Missed => Some(0.0),
        Rank::Unasked => None,
    };
    let words = |rank, unasked: &str| match rank {
        Rank::At(rank) => format!("No. {rank}"),
        Rank::Missed => "not found".to_owned(),
        Rank::Unasked => unasked.to_owned(),
    };
    let mut expected = Vec::new();
    let mut deleted = 0;
    for one in question.expected {
        match one {
            Expected::There { id, title } => {
                let document = Target::Builtin { document: id, chunk: u32::MAX };
                let reference = Reference { store: question.store, document };
                expected.push((title, document::link_to(&reference)));
            }
            Expected::Deleted => deleted += 1,
        }
    }
    Line {
        delete_url: format!("{base}/{}/delete", question.id),
        change: match (worth(now), worth(before)) {
            (Some(now), Some(before)) => change(now, before),
            _ => "",
        },
        now: words(now, if expected.is_empty() { "not asked" } else { "not asked yet" }),
        is_missed: now == Rank::Missed,
        before: words(before, "–"),
        id: question.id,
        text: question.text,
        store: question.store_name,
        expected,
        deleted,
    }
}
