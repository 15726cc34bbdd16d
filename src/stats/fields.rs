//! A record's fields, as the schema says they are. What is not so is counted and left out.

use serde_json::{Map, Value};

use super::doubts::Doubts;
use crate::sys::account::Exit;

/// The fields of an object, and whom to tell.
pub(super) struct Fields<'a, 'd> {
    object: &'a Map<String, Value>,
    doubts: &'d mut Doubts,
}

impl<'a, 'd> Fields<'a, 'd> {
    pub(super) fn of(object: &'a Map<String, Value>, doubts: &'d mut Doubts) -> Self {
        Self { object, doubts }
    }

    /// Counts unknown names. Exact bytes may be beside any string.
    pub(super) fn known(&mut self, lists: &[&[&str]]) {
        for name in self.object.keys() {
            let of = name.strip_suffix("_bytes_b64").unwrap_or(name);
            if !lists.iter().any(|list| list.contains(&of)) {
                self.doubts.unknown_fields.add(name);
            }
        }
    }

    /// A whole number, `most` at most.
    pub(super) fn whole(&mut self, name: &str, most: u64) -> Option<u64> {
        let value = self.object.get(name)?;
        match (value.as_u64(), value.is_number()) {
            (Some(number), _) if number <= most => Some(number),
            (Some(_), _) => self.implausible(name),
            (None, true)
                if value
                    .as_f64()
                    .is_some_and(|number| !(0.0..=1e15).contains(&number)) =>
            {
                self.implausible(name)
            }
            (None, _) => self.wrong(name),
        }
    }

    /// A number, not negative, `most` at most.
    pub(super) fn number(&mut self, name: &str, most: f64) -> Option<f64> {
        let value = self.object.get(name)?;
        match value.as_f64() {
            Some(number) if (0.0..=most).contains(&number) => Some(number),
            Some(_) => self.implausible(name),
            None => self.wrong(name),
        }
    }

    /// A whole number that may be negative.
    pub(super) fn signed(
        &mut self,
        name: &str,
        range: std::ops::RangeInclusive<i64>,
    ) -> Option<i32> {
        let value = self.object.get(name)?;
        match value.as_i64() {
            Some(number) if range.contains(&number) => i32::try_from(number).ok(),
            Some(_) => self.implausible(name),
            None if value.is_number() => self.implausible(name),
            None => self.wrong(name),
        }
    }

    pub(super) fn object(&mut self, name: &str) -> Option<&'a Map<String, Value>> {
        let value = self.object.get(name)?;
        match value.as_object() {
            Some(object) => Some(object),
            None => self.wrong(name),
        }
    }

    pub(super) fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.object.get(name)?;
        value.as_bool().or_else(|| self.wrong(name))
    }

    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        let value = self.object.get(name)?;
        match value.as_str() {
            Some(text) => Some(text.to_owned()),
            None => self.wrong(name),
        }
    }

    /// How a process ended, by its record or the summary's.
    pub(super) fn exit(&mut self) -> Option<Exit> {
        let code = self.signed("exit_code", i64::from(i32::MIN)..=i64::from(i32::MAX));
        let signal = self.signed("signal", 1..=64).map(Exit::Signal);
        signal.or(code.map(Exit::Code))
    }

    /// What a list holds; nothing where there is none.
    pub(super) fn list(&mut self, name: &str) -> &'a [Value] {
        match self.object.get(name).map(Value::as_array) {
            Some(Some(list)) => list,
            Some(None) => self.wrong(name).unwrap_or_default(),
            None => &[],
        }
    }

    /// An element of a list of objects.
    pub(super) fn one_of(
        &mut self,
        name: &str,
        element: &'a Value,
    ) -> Option<&'a Map<String, Value>> {
        match element.as_object() {
            Some(object) => Some(object),
            None => self.wrong(name),
        }
    }

    pub(super) fn within(&mut self, object: &'a Map<String, Value>) -> Fields<'a, '_> {
        Fields::of(object, self.doubts)
    }

    fn wrong<T>(&mut self, name: &str) -> Option<T> {
        self.doubts.wrong_types.add(name);
        None
    }

    fn implausible<T>(&mut self, name: &str) -> Option<T> {
        self.doubts.implausible.add(name);
        None
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_as_it_should_be_is_left_out_and_counted() {
        let record =
            json!({"ok": 5, "text": "5", "half": 5.5, "less": -5, "huge": 1e300, "null": null});
        let mut doubts = Doubts::default();
        let mut fields = Fields::of(record.as_object().unwrap(), &mut doubts);
        assert_eq!(fields.whole("ok", 5), Some(5));
        assert_eq!(fields.number("half", 6.0), Some(5.5));
        assert_eq!(fields.signed("less", -5..=0), Some(-5));
        assert_eq!(fields.whole("missing", 5), None);
        assert_eq!(fields.whole("ok", 4), None);
        for name in ["text", "half", "less", "huge", "null"] {
            assert_eq!(fields.whole(name, u64::MAX), None, "{name}");
        }
        assert_eq!(fields.number("huge", 1e9), None);
        assert_eq!(doubts.wrong_types.total(), 3);
        assert_eq!(doubts.implausible.total(), 4);
    }
}
