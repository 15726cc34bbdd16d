//! Numbers, bars and lines of prose, as a report shows them.

use std::io::{self, Write};
use std::time::Duration;

use unicode_width::UnicodeWidthStr as _;

use super::colour::{FAINT, Styled, paint, plain};
use super::escape::printable;

/// Wider lines are harder to read.
pub(crate) const WIDEST: usize = 100;

/// Columns of a label in front of prose.
pub(crate) const LABEL: usize = 10;

/// Drawn in eighths of a cell, so that short bars are exact; at least one eighth.
pub(crate) fn bar(share: f64, room: usize) -> String {
    const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];
    let eighths = ((share * room as f64 * 8.0).round() as usize).max(1);
    let mut bar = "█".repeat(eighths / 8);
    if !eighths.is_multiple_of(8) {
        bar.push(EIGHTHS[eighths % 8]);
    }
    bar
}

/// Prose after a label, broken at spaces so that it stays within the width.
pub(crate) fn lines(
    to: &mut dyn Write,
    label: &str,
    text: impl Into<Styled>,
    width: usize,
) -> io::Result<()> {
    let indent = if label.is_empty() { 0 } else { LABEL };
    let padding = " ".repeat(indent.saturating_sub(label.len()));
    let start = paint(FAINT, label) + padding;
    behind(to, start, indent, text, width)
}

/// Prose after the start of its first line, which fills `indent` columns.
pub(crate) fn behind(
    to: &mut dyn Write,
    start: impl Into<Styled>,
    indent: usize,
    text: impl Into<Styled>,
    width: usize,
) -> io::Result<()> {
    let mut line = start.into().to_string();
    let mut used = indent;
    for word in text.into().as_str().split(' ') {
        let room = plain(word).width();
        if used > indent && used + 1 + room > width {
            writeln!(to, "{line}")?;
            line = " ".repeat(indent);
            used = indent;
        } else if used > indent {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += room;
    }
    writeln!(to, "{line}")
}

/// The subject of a report, after an empty line.
pub(crate) fn heading(to: &mut dyn Write, what: &str) -> io::Result<()> {
    writeln!(to)?;
    line(to, paint(FAINT, "denet:") + " " + what)
}

/// One line that is never broken: a table row, or a command to be copied.
pub(crate) fn line(to: &mut dyn Write, text: impl Into<Styled>) -> io::Result<()> {
    writeln!(to, "{}", text.into())
}

pub(crate) fn share_of(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        0.0
    } else {
        part as f64 / whole as f64
    }
}

pub(crate) fn percent(share: f64) -> String {
    match share * 100.0 {
        zero if zero <= 0.0 => "0%".to_owned(),
        small if small < 0.05 => "<0.1%".to_owned(),
        nearly if (99.95..100.0).contains(&nearly) => ">99.9%".to_owned(),
        percent => format!("{percent:.1}%"),
    }
}

pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

pub(crate) fn time(duration: Duration) -> String {
    match duration.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.1} ms", seconds * 1e3),
        seconds if seconds < 600.0 => format!("{seconds:.2} s"),
        seconds => format!("{} min {:.0} s", (seconds / 60.0) as u64, seconds % 60.0),
    }
}

pub(crate) fn bytes(bytes: u64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    match bytes as f64 {
        size if size < 1024.0 => format!("{size} B"),
        size if size < 0.1 * MIB => format!("{:.1} KiB", size / 1024.0),
        size if size >= 1024.0 * MIB => format!("{:.1} GiB", size / MIB / 1024.0),
        size => format!("{:.1} MiB", size / MIB),
    }
}

pub(crate) fn plural(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

pub(crate) fn signal_name(signal: i32) -> String {
    nix::sys::signal::Signal::try_from(signal)
        .map_or_else(|_| format!("signal {signal}"), |name| name.to_string())
}

/// Escaped text, shortened to fit a table cell.
pub(crate) fn shortened(text: &str, room: usize) -> String {
    let text = printable(text);
    if text.width() <= room {
        return text;
    }
    let mut out = String::new();
    for c in text.chars() {
        if out.width() + c.to_string().width() + 1 > room {
            break;
        }
        out.push(c);
    }
    out + "…"
}

/// Rows below a header; the first `numbers` columns are aligned right, the rest left.
pub(crate) fn table(header: &[&str], rows: &[Vec<String>], numbers: usize) -> String {
    let shown = |row: &Vec<String>| row.iter().map(|cell| printable(cell)).collect();
    let rows: Vec<Vec<String>> = rows.iter().map(shown).collect();
    let width = |column: usize| {
        let of_rows = rows.iter().map(|row| row[column].width());
        of_rows.chain([header[column].width()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..header.len()).map(width).collect();
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded = cells
            .zip(&widths)
            .enumerate()
            .map(|(column, (cell, width))| {
                let gap = " ".repeat(width.saturating_sub(cell.width()));
                if column < numbers {
                    format!("{gap}{cell}")
                } else {
                    format!("{cell}{gap}")
                }
            });
        let line = padded.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    };
    let mut out = line(&mut header.iter().copied());
    for row in &rows {
        out += &line(&mut row.iter().map(String::as_str));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::colour::TITLE;

    #[test]
    fn numbers_read_well() {
        assert_eq!(
            [grouped(0), grouped(999), grouped(1000), grouped(1_234_567)],
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [percent(0.0), percent(0.0001), percent(0.4808), percent(1.0)],
            ["0%", "<0.1%", "48.1%", "100.0%"]
        );
        assert_eq!(time(Duration::from_micros(1500)), "1.5 ms");
        assert_eq!(time(Duration::from_secs(3725)), "62 min 5 s");
        assert_eq!(bytes(3 << 29), "1.5 GiB");
        assert_eq!(
            [bytes(0), bytes(1023), bytes(1536), bytes(1 << 18)],
            ["0 B", "1023 B", "1.5 KiB", "0.2 MiB"]
        );
    }

    #[test]
    fn text_fits_and_cannot_command_the_terminal() {
        let mut text = Vec::new();
        lines(&mut text, "", "a\u{1b}[31m b\n\u{202e}", 12).unwrap();
        behind(&mut text, "\u{7}", 4, "\u{9b}", 12).unwrap();
        line(&mut text, paint(TITLE, "\u{200b}")).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(
            plain(&text),
            "a\\x1b[31m\nb\\n\\u{202e}\n\\x07\\u{9b}\n\\u{200b}\n"
        );

        assert_eq!(shortened("abcdef", 6), "abcdef");
        assert_eq!(shortened("abcdefg", 6), "abcde…");
        assert_eq!(shortened("漢字漢字", 6), "漢字…");
        assert_eq!(shortened("a\u{1b}b", 6), "a\\x1bb");
        assert_eq!(bar(1.0, 5), "█████");
        assert_eq!(bar(0.0001, 5), "▏");
    }

    #[test]
    fn columns_stand_below_each_other() {
        let rows = [
            vec!["7".to_owned(), "ls".to_owned()],
            vec!["1,000".to_owned(), "\u{7}".to_owned()],
        ];
        assert_eq!(
            table(&["COUNT", "NAME"], &rows, 1),
            "COUNT  NAME\n    7  ls\n1,000  \\x07\n"
        );
    }
}
