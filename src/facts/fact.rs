//! Something that was looked for, and what came of it.

use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::sys::root::Root;

/// Something that was looked for. "No" is not "could not look".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact<T> {
    /// It is so.
    Known(T),
    /// It does not exist here.
    Absent,
    /// We may not look; the reason.
    Denied(String),
    /// Looking failed; the reason.
    Failed(String),
}

impl<T> Fact<T> {
    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Known(value) => Some(value),
            Self::Absent | Self::Denied(_) | Self::Failed(_) => None,
        }
    }

    /// What was looked for, or that it does not exist.
    pub(crate) fn from_option(found: Option<T>) -> Self {
        found.map_or(Self::Absent, Self::Known)
    }

    /// Makes another fact of what is known.
    pub(crate) fn map<U>(self, make: impl FnOnce(T) -> U) -> Fact<U> {
        self.and_then(|value| Fact::Known(make(value)))
    }

    /// Looks further from what is known.
    pub(crate) fn and_then<U>(self, look: impl FnOnce(T) -> Fact<U>) -> Fact<U> {
        match self {
            Self::Known(value) => look(value),
            Self::Absent => Fact::Absent,
            Self::Denied(why) => Fact::Denied(why),
            Self::Failed(why) => Fact::Failed(why),
        }
    }

    /// The same about a reference.
    pub(crate) fn as_ref(&self) -> Fact<&T> {
        match self {
            Self::Known(value) => Fact::Known(value),
            Self::Absent => Fact::Absent,
            Self::Denied(why) => Fact::Denied(why.clone()),
            Self::Failed(why) => Fact::Failed(why.clone()),
        }
    }

    /// What came of a system call about `what`.
    pub(crate) fn of(what: impl AsRef<Path>, result: io::Result<T>) -> Self {
        let named = |error: &io::Error| format!("{}: {error}", what.as_ref().display());
        match result {
            Ok(value) => Self::Known(value),
            Err(error) => match error.kind() {
                io::ErrorKind::NotFound => Self::Absent,
                io::ErrorKind::PermissionDenied => Self::Denied(named(&error)),
                _ => Self::Failed(named(&error)),
            },
        }
    }

    /// What a file says, where `parse` understands it.
    pub(crate) fn read(root: &Root, path: &str, parse: impl FnOnce(&str) -> Option<T>) -> Self {
        Fact::of(path, root.text(path)).and_then(|text| Self::parsed(path, &text, parse))
    }

    /// What a text says, where `parse` understands it.
    pub(crate) fn parsed(what: &str, text: &str, parse: impl FnOnce(&str) -> Option<T>) -> Self {
        parse(text).map_or_else(|| Self::Failed(malformed(what, text)), Self::Known)
    }
}

/// Says that a text is not what it should be, and how it begins.
pub(super) fn malformed(what: &str, text: &str) -> String {
    const SHOWN: usize = 60;
    let shown: String = text.chars().take(SHOWN).collect();
    let more = if text.chars().nth(SHOWN).is_some() {
        "…"
    } else {
        ""
    };
    format!("{what}: malformed: {shown:?}{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_as_four_different_things() {
        let saved = |fact: Fact<u32>| {
            let text = serde_json::to_string(&fact).unwrap();
            assert_eq!(serde_json::from_str::<Fact<u32>>(&text).unwrap(), fact);
            text
        };
        assert_eq!(saved(Fact::Known(7)), r#"{"known":7}"#);
        assert_eq!(saved(Fact::Absent), r#""absent""#);
        assert_eq!(saved(Fact::Denied("why".into())), r#"{"denied":"why"}"#);
        assert_eq!(saved(Fact::Failed("why".into())), r#"{"failed":"why"}"#);
    }

    #[test]
    fn an_error_is_what_it_says() {
        let of = |errno| Fact::<()>::of("/x", Err(io::Error::from_raw_os_error(errno)));
        assert_eq!(of(libc::ENOENT), Fact::Absent);
        for errno in [libc::EACCES, libc::EPERM] {
            assert!(matches!(of(errno), Fact::Denied(why) if why.starts_with("/x: ")));
        }
        for errno in [libc::EIO, libc::EINVAL, libc::ENOTDIR] {
            assert!(matches!(of(errno), Fact::Failed(_)));
        }
    }

    #[test]
    fn what_is_not_understood_has_failed() {
        let number = Fact::parsed("x", "1x\n", |text| text.trim().parse::<u32>().ok());
        assert_eq!(number, Fact::Failed(r#"x: malformed: "1x\n""#.into()));
        assert!(malformed("x", &"é".repeat(100)).ends_with('…'));
    }
}
