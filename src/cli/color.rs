//! The option `--color`, which the parser's own help and errors obey too.

use std::ffi::OsString;

use clap::{Args, ColorChoice, ValueEnum as _};

use crate::monitor::MONITORS;
use crate::monitor::arguments::FOLLOWING;
use crate::output::colour;

/// Whether text is coloured.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Color {
    /// Colour text and help: auto does so on a terminal, unless NO_COLOR or FORCE_COLOR is set
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    pub(crate) color: ColorChoice,
}

impl Color {
    /// As typed, before anything is parsed: the parser prints help and errors without reading further. What
    /// follows `--`, or the first word after a verb that starts a command, belongs to that command.
    pub(super) fn typed(words: &[OsString]) -> Option<Self> {
        let words = words.iter().skip(1).map(|word| word.to_str());
        let mut words = words
            .map(Option::unwrap_or_default)
            .take_while(|word| *word != "--");
        let mut starting = false;
        while let Some(word) = words.next() {
            let value = match word.strip_prefix("--color") {
                Some("") => words.next(),
                Some(rest) => rest.strip_prefix('='),
                None if starting && !word.starts_with('-') => return None,
                None => None,
            };
            let color = value.and_then(|value| ColorChoice::from_str(value, false).ok());
            if let Some(color) = color {
                return Some(Self { color });
            }
            starting |= starts_a_command(word);
        }
        None
    }

    /// From now on, for every stream.
    pub(super) fn choose(self) {
        colour::choose(match self.color {
            ColorChoice::Auto => colour::ColorChoice::Auto,
            ColorChoice::Always => colour::ColorChoice::Always,
            ColorChoice::Never => colour::ColorChoice::Never,
        });
    }
}

/// A command may follow this verb without `--`.
fn starts_a_command(verb: &str) -> bool {
    let mut monitors = MONITORS.iter();
    ["run", "trace"].contains(&verb)
        || monitors.any(|monitor| monitor.name == verb && monitor.options.contains(&FOLLOWING))
}

impl Default for Color {
    fn default() -> Self {
        Self {
            color: ColorChoice::Auto,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Option<ColorChoice> {
        let words: Vec<_> = line.split(' ').map(OsString::from).collect();
        Color::typed(&words).map(|typed| typed.color)
    }

    #[test]
    fn the_option_is_found_before_parsing() {
        let (always, never) = (Some(ColorChoice::Always), Some(ColorChoice::Never));
        assert_eq!(typed("denet --help --color=always"), always);
        assert_eq!(typed("denet --color never --bogus"), never);
        assert_eq!(typed("denet run --color=never ls --color=always"), never);
        assert_eq!(typed("denet stats file --color=always"), always);
        assert_eq!(typed("ebpf_diag --color=sometimes"), None);
        assert_eq!(typed("denet --colors always"), None);
        assert_eq!(typed("denet --color"), None);
    }

    #[test]
    fn that_of_a_command_is_not_denets() {
        for line in [
            "denet run ls --color=always",
            "denet run -- ls --color=always",
            "denet trace ls --color always",
            "denet monitor exec -- --color=always",
        ] {
            assert_eq!(typed(line), None, "{line}");
        }
    }
}
