//! JSON of which only what statistics need is kept: a sample of ten thousand processes is large, the
//! sum of them is not.

use std::cell::Cell;
use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Lists of processes and threads, which are not looked at.
const LEFT_OUT: [&str; 5] = [
    "parent",
    "children",
    "threads",
    "processes",
    "still_running",
];

/// More values than this no record has in what is kept: the rest of a larger one is left out.
const MOST_VALUES: usize = 20_000;

/// What is kept of a line.
pub(super) struct Pruned {
    pub(super) value: Value,
    /// Something had to be left out.
    pub(super) cut: bool,
}

pub(super) fn parse(line: &[u8]) -> Result<Pruned, serde_json::Error> {
    let left = Cell::new(Some(MOST_VALUES));
    let mut from = serde_json::Deserializer::from_slice(line);
    let value = Keep(&left).deserialize(&mut from)?;
    from.end()?;
    Ok(Pruned {
        value,
        cut: left.get().is_none(),
    })
}

/// How many values may still be kept; `None` once there were too many.
#[derive(Clone, Copy)]
struct Keep<'a>(&'a Cell<Option<usize>>);

impl Keep<'_> {
    fn has_room(self) -> bool {
        let left = self.0.get().and_then(|left| left.checked_sub(1));
        self.0.set(left);
        left.is_some()
    }
}

impl<'de> DeserializeSeed<'de> for Keep<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep<'_> {
    type Value = Value;

    fn expecting(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while self.has_room() {
            match from.next_element_seed(self)? {
                Some(value) => list.push(value),
                None => return Ok(Value::Array(list)),
            }
        }
        while from.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = from.next_key::<String>()? {
            if LEFT_OUT.contains(&name.as_str()) || !self.has_room() {
                from.next_value::<IgnoredAny>()?;
            } else {
                let value = from.next_value_seed(self)?;
                object.insert(name, value);
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keeps_all_but_lists_of_processes() {
        let text = r#" {"a":[1,-1,1.5,"x\n",null,true,{}],"children":[{"pid":1}],"b":{"processes":[1],"c":2}} "#;
        let kept = parse(text.as_bytes()).unwrap();
        assert!(!kept.cut);
        assert_eq!(
            kept.value,
            json!({"a": [1, -1, 1.5, "x\n", null, true, {}], "b": {"c": 2}})
        );
    }

    #[test]
    fn refuses_what_is_no_json() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "{",
            "{} {}",
            "{\"a\":1e999}",
            "NaN",
            "\u{0}",
            "{'a':1}",
            &deep,
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text:.20}");
        }
        assert!(parse(b"{\"a\":\"\xff\"}").is_err());
    }

    #[test]
    fn leaves_out_what_would_be_too_much() {
        let many = format!("[{}0]", "0,".repeat(2 * MOST_VALUES));
        for text in [
            format!("{{\"x\":{many},\"y\":1}}"),
            format!("[{many},{many}]"),
        ] {
            let kept = parse(text.as_bytes()).unwrap();
            assert!(kept.cut && kept.value.to_string().len() < 3 * MOST_VALUES);
        }
        // An array that is full to the last place is whole.
        let full = format!("[{}0]", "0,".repeat(MOST_VALUES - 2));
        assert!(!parse(full.as_bytes()).unwrap().cut);
    }
}
