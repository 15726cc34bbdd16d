//! Text with styles. Only denet itself adds styles: all text that they are added to is escaped.

use std::fmt::{self, Display};
use std::ops::Add;

use anstyle::Style;

use super::escape::printable;

/// One line of text for a terminal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Styled(String);

/// The text in this style.
pub(crate) fn paint(style: Style, text: impl Display) -> Styled {
    let text = printable(&text.to_string());
    Styled(format!("{style}{text}{style:#}"))
}

impl Styled {
    /// All parts, separated by `between`.
    pub(crate) fn joined(parts: impl IntoIterator<Item = Self>, between: &str) -> Self {
        let mut parts = parts.into_iter();
        let first = parts.next().unwrap_or_default();
        parts.fold(first, |all, part| all + between + part)
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Display for Styled {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0)
    }
}

impl From<&str> for Styled {
    fn from(text: &str) -> Self {
        Self(printable(text))
    }
}

impl From<&String> for Styled {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<String> for Styled {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl<T: Into<Self>> Add<T> for Styled {
    type Output = Self;

    fn add(mut self, behind: T) -> Self {
        self.0 += &behind.into().0;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::layout::TITLE;

    #[test]
    fn styles_are_denets_own() {
        let text = Styled::from("a\u{1b}[31m ") + paint(TITLE, "b\u{1b}[0m") + "\u{202e}";
        assert_eq!(
            text.as_str(),
            "a\\x1b[31m \u{1b}[1mb\\x1b[0m\u{1b}[0m\\u{202e}"
        );
        let parts = ["a", "b", "c"].map(Styled::from);
        assert_eq!(Styled::joined(parts, ", ").as_str(), "a, b, c");
        assert_eq!(Styled::joined([], ", ").as_str(), "");
    }
}
