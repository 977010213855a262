//! JSON from strangers: bounded in depth and number of values, no member twice.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value, error::Category};

/// How deep values may nest.
const MAX_DEPTH: usize = 64;
/// How many values there may be in all.
const MAX_NODES: usize = 10_000;

/// Why a text was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is not JSON.
    Syntax,
    /// It is JSON that we do not take: too deep, too many values, a member twice.
    Refused,
}

/// Read one JSON text.
///
/// # Errors
/// See [`Malformed`].
pub fn parse(bytes: &[u8]) -> Result<Value, Malformed> {
    let nodes = Cell::new(0);
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Bounded { depth: 0, nodes: &nodes }.deserialize(&mut deserializer);
    let whole = value.and_then(|value| deserializer.end().map(|()| value));
    whole.map_err(|error| match error.classify() {
        Category::Data => Malformed::Refused,
        Category::Io | Category::Syntax | Category::Eof => Malformed::Syntax,
    })
}

#[derive(Clone, Copy)]
struct Bounded<'a> {
    depth: usize,
    nodes: &'a Cell<usize>,
}

impl Bounded<'_> {
    fn inside(self) -> Self {
        Self { depth: self.depth + 1, ..self }
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        self.nodes.set(self.nodes.get() + 1);
        if self.nodes.get() > MAX_NODES {
            return Err(D::Error::custom("too many values"));
        }
        if self.depth > MAX_DEPTH {
            return Err(D::Error::custom("too deep"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element_seed(self.inside())? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let value = entries.next_value_seed(self.inside())?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom("a member twice"));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn values_survive_as_they_are() {
        let text = r#"{"a":[1,-2,2.5,true,null,"ü\n"],"b":{"c":18446744073709551615}}"#;
        assert_eq!(parse(text.as_bytes()).unwrap().to_string(), text);
    }

    /// [Q-03] Depth, number of values and size of a number are bounded; nothing overflows.
    #[test]
    fn depth_and_number_of_values_are_bounded() {
        assert!(parse(nested(65).as_bytes()).is_ok());
        for text in [
            nested(66),
            nested(10_000),
            "[".repeat(1_000_000),
            format!("[{}0]", "0,".repeat(10_000)),
        ] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed::Refused), "{}", text.len());
        }
        let number = "9".repeat(1_000_000);
        assert_eq!(parse(number.as_bytes()), Err(Malformed::Syntax));
    }

    /// [H-05] A member that stands twice is refused at any depth.
    #[test]
    fn no_member_stands_twice() {
        for text in
            [r#"{"id":1,"id":2}"#, r#"{"a":{"b":[{"c":1,"c":1}]}}"#, r#"{"a":1,"\u0061":1}"#]
        {
            assert_eq!(parse(text.as_bytes()), Err(Malformed::Refused), "{text}");
        }
    }

    #[test]
    fn what_is_not_json_is_told_apart() {
        for text in ["", "{", "nonsense", "{} {}", "\u{feff}{}", "{\"a\":1,}", "\"\\ud800\""] {
            assert_eq!(parse(text.as_bytes()), Err(Malformed::Syntax), "{text}");
        }
        assert_eq!(parse(b"\"\xff\""), Err(Malformed::Syntax));
    }
}
