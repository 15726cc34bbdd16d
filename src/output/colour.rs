//! Styles of text, and which streams show them. Only denet itself adds styles: text from elsewhere is escaped.
//! Styles are always written; a stream that shows none drops them.

use std::ffi::OsString;
use std::fmt::{self, Display};
use std::ops::Add;

use anstream::AutoStream;
pub(crate) use anstream::ColorChoice;
use anstream::stream::RawStream;
pub(crate) use owo_colors::Style;

use super::escape::printable;

pub(crate) const TITLE: Style = Style::new().bold();
pub(crate) const FAINT: Style = Style::new().dimmed();
pub(crate) const GOOD: Style = Style::new().green().bold();
pub(crate) const WARNING: Style = Style::new().yellow().bold();
pub(crate) const BAD: Style = Style::new().red().bold();

/// Decides for every stream of this process, also for what the parser of the command line prints. In this order
/// of precedence: `--color`, NO_COLOR, FORCE_COLOR or CLICOLOR_FORCE, whether the stream is a terminal.
pub(crate) fn choose(color: ColorChoice) {
    decided(color, |name| std::env::var_os(name)).write_global();
}

/// anstream reads the other variables.
fn decided(color: ColorChoice, variable: impl Fn(&str) -> Option<OsString>) -> ColorChoice {
    let is_set = |name| variable(name).is_some_and(|value| !value.is_empty());
    match color {
        ColorChoice::Auto if is_set("FORCE_COLOR") && !is_set("NO_COLOR") => ColorChoice::Always,
        other => other,
    }
}

/// Whether this stream shows styles.
pub(crate) fn is_wanted(stream: &impl RawStream) -> bool {
    AutoStream::choice(stream) != ColorChoice::Never
}

/// The text without styles.
pub(crate) fn plain(text: &str) -> String {
    anstream::adapter::strip_str(text).to_string()
}

/// One line of text for a terminal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Styled(String);

/// The text in this style.
pub(crate) fn paint(style: Style, text: impl Display) -> Styled {
    Styled(style.style(printable(&text.to_string())).to_string())
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

    #[test]
    fn styles_are_denets_own() {
        let text = Styled::from("a\u{1b}[31m ") + paint(TITLE, "b\u{1b}[0m") + "\u{202e}";
        assert_eq!(
            text.as_str(),
            "a\\x1b[31m \u{1b}[1mb\\x1b[0m\u{1b}[0m\\u{202e}"
        );
        assert_eq!(plain(text.as_str()), "a\\x1b[31m b\\x1b[0m\\u{202e}");
        let parts = ["a", "b", "c"].map(Styled::from);
        assert_eq!(Styled::joined(parts, ", ").as_str(), "a, b, c");
        assert_eq!(Styled::joined([], ", ").as_str(), "");
    }

    #[test]
    fn the_option_precedes_the_environment() {
        let with = |color, set: &[&str]| {
            let value = |name: &str| {
                let value = set.iter().find_map(|one| one.strip_prefix(name));
                value.map(|value| value.trim_start_matches('=').into())
            };
            decided(color, value)
        };
        let auto = ColorChoice::Auto;
        assert_eq!(with(auto, &[]), auto);
        assert_eq!(with(auto, &["FORCE_COLOR="]), auto);
        assert_eq!(with(auto, &["FORCE_COLOR=1"]), ColorChoice::Always);
        assert_eq!(with(auto, &["FORCE_COLOR=1", "NO_COLOR=1"]), auto);
        let never = ColorChoice::Never;
        assert_eq!(with(never, &["FORCE_COLOR=1"]), never);
        let always = ColorChoice::Always;
        assert_eq!(with(always, &["NO_COLOR=1"]), always);
    }
}
