//! Which documents may answer, by their attributes: OpenAI's comparison and compound filters.
//!
//! A document's attributes are what its source said of it, and `title`, `media_type`, `language`,
//! `created_at` and `updated_at` (seconds since 1970). A filter becomes a path in SQL's JSON path
//! language, in which its keys and values are variables: none of their text is part of the path.

use serde::Deserialize;
use serde_json::{Map, Value};

/// How deep filters may be inside each other, and how many comparisons there may be in all.
const DEEPEST: usize = 5;
const MOST: usize = 64;
const LONGEST_KEY: usize = 256;
const LONGEST_VALUE: usize = 1_024;

/// A filter that was understood.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    path: String,
    values: Value,
    asked: Value,
}

/// Why a filter was not understood, for who wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Misunderstood(pub &'static str);

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Clause {
    Eq(Comparison),
    Ne(Comparison),
    Gt(Comparison),
    Gte(Comparison),
    Lt(Comparison),
    Lte(Comparison),
    In(Comparison),
    Nin(Comparison),
    And(Compound),
    Or(Compound),
}

#[derive(Deserialize)]
struct Comparison {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
struct Compound {
    filters: Vec<Value>,
}

impl Filter {
    /// Read `{"type":"eq","key":"…","value":…}` or `{"type":"and","filters":[…]}`.
    ///
    /// # Errors
    /// [`Misunderstood`], in a sentence.
    pub fn parse(asked: &Value) -> Result<Self, Misunderstood> {
        let mut writer = Writer::default();
        let path = writer.clause(asked, DEEPEST)?;
        Ok(Self { path, values: Value::Object(writer.values), asked: asked.clone() })
    }

    /// As it was asked for.
    #[must_use]
    pub const fn asked(&self) -> &Value {
        &self.asked
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) const fn values(&self) -> &Value {
        &self.values
    }
}

#[derive(Default)]
struct Writer {
    values: Map<String, Value>,
    comparisons: usize,
}

impl Writer {
    fn clause(&mut self, asked: &Value, depth: usize) -> Result<String, Misunderstood> {
        if depth == 0 {
            return Err(Misunderstood("filters may be five deep, and not deeper"));
        }
        let clause = Clause::deserialize(asked).map_err(|_| {
            Misunderstood(
                "a filter has a type: eq, ne, gt, gte, lt, lte, in or nin with key and value, \
                 or and, or with filters",
            )
        })?;
        match clause {
            Clause::Eq(of) => self.comparison(&of, "=="),
            Clause::Ne(of) => Ok(format!("!({})", self.comparison(&of, "==")?)),
            Clause::Gt(of) => self.comparison(&of, ">"),
            Clause::Gte(of) => self.comparison(&of, ">="),
            Clause::Lt(of) => self.comparison(&of, "<"),
            Clause::Lte(of) => self.comparison(&of, "<="),
            Clause::In(of) => self.any(&of),
            Clause::Nin(of) => Ok(format!("!({})", self.any(&of)?)),
            Clause::And(of) => self.compound(&of.filters, " && ", depth),
            Clause::Or(of) => self.compound(&of.filters, " || ", depth),
        }
    }

    fn compound(
        &mut self,
        filters: &[Value],
        with: &str,
        depth: usize,
    ) -> Result<String, Misunderstood> {
        if filters.is_empty() {
            return Err(Misunderstood("and, or need at least one filter"));
        }
        let clauses: Result<Vec<String>, _> =
            filters.iter().map(|filter| self.clause(filter, depth - 1)).collect();
        Ok(format!("({})", clauses?.join(with)))
    }

    fn any(&mut self, of: &Comparison) -> Result<String, Misunderstood> {
        let Value::Array(values) = &of.value else {
            return Err(Misunderstood("in and nin need a list of values"));
        };
        if values.is_empty() {
            return Err(Misunderstood("in and nin need at least one value"));
        }
        let one = |value: &Value| Comparison { key: of.key.clone(), value: value.clone() };
        let each: Result<Vec<String>, _> =
            values.iter().map(|value| self.comparison(&one(value), "==")).collect();
        Ok(format!("({})", each?.join(" || ")))
    }

    /// A key that a document has not compares with nothing.
    fn comparison(&mut self, of: &Comparison, sign: &str) -> Result<String, Misunderstood> {
        self.comparisons += 1;
        if self.comparisons > MOST {
            return Err(Misunderstood("a filter may have 64 comparisons, and no more"));
        }
        if of.key.is_empty() || of.key.chars().count() > LONGEST_KEY {
            return Err(Misunderstood("a key has 1 to 256 characters"));
        }
        let (key, value) = (format!("k{}", self.comparisons), format!("v{}", self.comparisons));
        let found = format!("$.keyvalue() ? (@.key == ${key}).value");
        let path = match &of.value {
            // Sources give numbers as text too.
            Value::Number(_) => format!("exists({found} ? (@.double() {sign} ${value}))"),
            Value::String(text) if text.chars().count() <= LONGEST_VALUE => {
                format!("exists({found} ? (@ {sign} ${value}))")
            }
            Value::Bool(flag) if sign == "==" => {
                // Or as the word.
                let word = format!("w{}", self.comparisons);
                self.values.insert(word.clone(), Value::String(flag.to_string()));
                format!("exists({found} ? (@ == ${value} || @ == ${word}))")
            }
            Value::Bool(_) => return Err(Misunderstood("true and false are in no order")),
            Value::String(_) => return Err(Misunderstood("a value has at most 1024 characters")),
            Value::Null | Value::Array(_) | Value::Object(_) => {
                return Err(Misunderstood("a value is text, a number, true or false"));
            }
        };
        self.values.insert(key, Value::String(of.key.clone()));
        self.values.insert(value, of.value.clone());
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn no_text_of_a_filter_is_part_of_the_path() {
        let evil = "\" || true) /* $.x";
        let filter = Filter::parse(&json!({ "type": "and", "filters": [
            { "type": "eq", "key": evil, "value": evil },
            { "type": "in", "key": "shelf", "value": ["a", 2, true] },
        ]}))
        .unwrap();
        assert!(!filter.path().contains("true") && !filter.path().contains("shelf"));
        assert_eq!(filter.values()["k1"], evil);
        assert_eq!(filter.values()["w4"], "true");
    }

    #[test]
    fn what_is_no_filter_is_refused_in_words() {
        let deep = (0..6).fold(
            json!({ "type": "eq", "key": "a", "value": 1 }),
            |inner, _| json!({ "type": "and", "filters": [inner] }),
        );
        let many: Vec<Value> =
            (0..65).map(|n| json!({ "type": "eq", "key": "a", "value": n })).collect();
        for wrong in [
            json!({}),
            json!("shelf = a"),
            json!({ "type": "like", "key": "a", "value": "b" }),
            json!({ "type": "eq", "key": "", "value": "b" }),
            json!({ "type": "eq", "key": "a", "value": null }),
            json!({ "type": "gt", "key": "a", "value": true }),
            json!({ "type": "eq", "key": "a", "value": "x".repeat(1_025) }),
            json!({ "type": "in", "key": "a", "value": [] }),
            json!({ "type": "in", "key": "a", "value": "b" }),
            json!({ "type": "and", "filters": [] }),
            json!({ "type": "or", "filters": many }),
            deep,
        ] {
            let Misunderstood(reason) = Filter::parse(&wrong).unwrap_err();
            assert!(reason.is_ascii() && !reason.contains(['"', '\\']), "{reason}");
        }
    }
}
