//! The text output of `denet monitor xdp`.

use std::io::{self, Write};
use std::path::Path;

use super::counters::{Count, Counts, Kind, Rate};
use super::model::{About, End, Interval, Removed, Whole};
use crate::facts::interfaces::XdpMode;
use crate::output::colour::{BAD, FAINT, Styled, TITLE, paint};
use crate::output::layout::{WIDEST, bytes, grouped, heading, lines, plural, signal_name, time};

/// Columns of the names of kinds, and of each number.
const NAMES: usize = 19;
const NUMBERS: usize = 14;

/// The interface, and how frames are counted.
///
/// # Errors
/// Writing failed.
pub(crate) fn header(to: &mut dyn Write, about: &About, columns: usize) -> io::Result<()> {
    let width = columns.clamp(40, WIDEST);
    heading(to, &about.interface)?;
    let mode = match (about.mode, &about.not_native) {
        (XdpMode::Generic, Some(why)) => format!("generic: its driver refuses native ({why})"),
        (mode, _) => mode.name().to_owned(),
    };
    let program = format!("{mode}, program {} {}", about.program, about.program_name);
    lines(to, "XDP", program, width)?;
    if !about.up {
        lines(
            to,
            "down",
            "the interface is not up: no frames arrive",
            width,
        )?;
    }
    if let Some(place) = &about.pinned {
        let place = place.display();
        let text = match about.resumed {
            Some(before) => format!(
                "{place}; {} were counted before this run",
                plural(before.packets, "frame", "frames")
            ),
            None => place.to_string(),
        };
        lines(to, "pinned", text, width)?;
    }
    Ok(())
}

/// The table that is redrawn: rates since the previous reading, and counts.
///
/// # Errors
/// Writing failed.
pub(crate) fn table(
    to: &mut dyn Write,
    about: &About,
    interval: &Interval<'_>,
    columns: usize,
) -> io::Result<()> {
    header(to, about, columns)?;
    lines(to, "time", time(interval.now.elapsed), columns)?;
    let (added, length) = (interval.added(), interval.length());
    let rate = |kind| Rate::of(kind_of(&added, kind), length).unwrap_or_default();
    rows(to, &interval.now.sum(), Some(&rate))
}

/// One line about the frames since the previous reading.
///
/// # Errors
/// Writing failed.
pub(crate) fn line(to: &mut dyn Write, interval: &Interval<'_>) -> io::Result<()> {
    let added = interval.added();
    let rate = Rate::of(added.frames(), interval.length()).unwrap_or_default();
    write!(
        to,
        "{:>9}  {:>9} packets/s  {:>12}/s ",
        time(interval.now.elapsed),
        per_sec(rate.packets_per_sec),
        bytes(rate.bytes_per_sec as u64),
    )?;
    for kind in Kind::ALL {
        let count = added.of(kind).packets;
        if count > 0 {
            write!(to, " {} {}", kind.name(), grouped(count))?;
        }
    }
    writeln!(to)
}

/// The report: why the run ended, and all its counts.
///
/// # Errors
/// Writing failed.
pub(crate) fn report(
    to: &mut dyn Write,
    about: &About,
    whole: &Whole,
    columns: usize,
) -> io::Result<()> {
    let width = columns.clamp(40, WIDEST);
    header(to, about, columns)?;
    let wall = whole.last.elapsed;
    let ended = match whole.end {
        End::Duration => " (--duration is over)".into(),
        End::Interrupted(signal) => format!(" ({} ended the watch)", signal_name(signal)).into(),
        End::InterfaceGone => paint(BAD, " (the interface is gone)"),
        End::TakenOff => paint(BAD, " (another process removed the program)"),
        End::Unread => " (the reader of the records is gone)".into(),
    };
    lines(to, "time", Styled::from(time(wall)) + ended, width)?;
    let added = whole.added();
    let rate = |kind| Rate::of(kind_of(&added, kind), wall).unwrap_or_default();
    rows(to, &added, Some(&rate))?;
    cpus(to, whole)?;
    if let (Some(place), true) = (&about.pinned, whole.end.leaves_pinned()) {
        let text = format!(
            "the program stays attached and goes on counting: {} since it was pinned; --pin goes on, \
             --unpin {} takes it off",
            plural(whole.last.sum().frames().packets, "frame", "frames"),
            place.display()
        );
        lines(to, "pinned", &text, width)?;
    }
    Ok(())
}

/// The result of `--unpin`: what was removed, and its counts.
///
/// # Errors
/// Writing failed.
pub(crate) fn removed(
    to: &mut dyn Write,
    interface: &str,
    place: &Path,
    removed: &Removed,
    columns: usize,
) -> io::Result<()> {
    let width = columns.clamp(40, WIDEST);
    heading(to, interface)?;
    let was = match removed.was_attached {
        true => "the program was taken off",
        false => "no program was attached any more",
    };
    lines(to, "unpinned", format!("{}: {was}", place.display()), width)?;
    match &removed.counted {
        Some(cpus) => rows(to, &Counts::sum(cpus), None),
        None => lines(to, "", "no counters were pinned there", width),
    }
}

/// The count of all frames, or of a kind.
fn kind_of(counts: &Counts, kind: Option<Kind>) -> Count {
    kind.map_or_else(|| counts.frames(), |kind| counts.of(kind))
}

fn label(kind: Kind) -> &'static str {
    match kind {
        Kind::Ipv4 => "IPv4",
        Kind::Ipv6 => "IPv6",
        Kind::Arp => "ARP",
        Kind::Other => "other",
        Kind::Tcp => "TCP",
        Kind::Udp => "UDP",
        Kind::Icmp => "ICMP",
        Kind::OtherTransport => "other transport",
        Kind::LaterFragment => "later fragment",
        Kind::Vlan => "VLAN",
        Kind::Qinq => "QinQ",
        Kind::Truncated => "truncated",
        Kind::Malformed => "malformed",
    }
}

/// The rows in three blocks: each frame is in one row of the first, each IP packet in one of the second; the third has
/// further properties.
const ROWS: [&[Option<Kind>]; 3] = [
    &[
        None,
        Some(Kind::Ipv4),
        Some(Kind::Ipv6),
        Some(Kind::Arp),
        Some(Kind::Other),
    ],
    &[
        Some(Kind::Tcp),
        Some(Kind::Udp),
        Some(Kind::Icmp),
        Some(Kind::OtherTransport),
        Some(Kind::LaterFragment),
    ],
    &[
        Some(Kind::Vlan),
        Some(Kind::Qinq),
        Some(Kind::Truncated),
        Some(Kind::Malformed),
    ],
];

/// Rates come first, if there are any.
fn rows(
    to: &mut dyn Write,
    counts: &Counts,
    rate: Option<&dyn Fn(Option<Kind>) -> Rate>,
) -> io::Result<()> {
    let heads: &[&str] = match rate {
        Some(_) => &["packets/s", "bytes/s", "packets", "bytes"],
        None => &["packets", "bytes"],
    };
    let heads: String = heads
        .iter()
        .map(|head| format!("{head:>NUMBERS$}"))
        .collect();
    writeln!(to, "\n{}", paint(TITLE, format!("{:NAMES$}{heads}", "")))?;
    for (at, block) in ROWS.iter().enumerate() {
        if at > 0 {
            writeln!(to)?;
        }
        for kind in *block {
            row(
                to,
                *kind,
                kind_of(counts, *kind),
                rate.map(|rate| rate(*kind)),
            )?;
        }
    }
    writeln!(to)
}

fn row(to: &mut dyn Write, kind: Option<Kind>, count: Count, rate: Option<Rate>) -> io::Result<()> {
    let rate = rate.map(|rate| {
        [
            per_sec(rate.packets_per_sec),
            bytes(rate.bytes_per_sec as u64),
        ]
    });
    let count_words = [grouped(count.packets), bytes(count.bytes)];
    let numbers = rate.into_iter().flatten().chain(count_words);
    let numbers: String = numbers
        .map(|number| format!("{number:>NUMBERS$}"))
        .collect();
    let row = format!("{:NAMES$}{numbers}", kind.map_or("all frames", label));
    let row = match (kind, count.packets) {
        (_, 0) => paint(FAINT, row),
        (Some(Kind::Truncated | Kind::Malformed), _) => paint(BAD, row),
        _ => row.into(),
    };
    writeln!(to, "{row}")
}

/// Without decimals if that is precise enough.
fn per_sec(rate: f64) -> String {
    match rate {
        none if none <= 0.0 => "0".to_owned(),
        few if few < 9.95 => format!("{few:.1}"),
        many => grouped(many.round() as u64),
    }
}

/// The frames by CPU.
fn cpus(to: &mut dyn Write, whole: &Whole) -> io::Result<()> {
    let added: Vec<(usize, Count)> = whole.cpus_added().collect();
    for (cpu, count) in &added {
        let name = format!("CPU {cpu}");
        let numbers = [
            String::new(),
            String::new(),
            grouped(count.packets),
            bytes(count.bytes),
        ];
        let numbers: String = numbers
            .iter()
            .map(|number| format!("{number:>NUMBERS$}"))
            .collect();
        writeln!(to, "{name:NAMES$}{numbers}")?;
    }
    match added.is_empty() {
        true => Ok(()),
        false => writeln!(to),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::monitor::xdp::model::Reading;
    use std::time::Duration;

    fn reading(at_ms: u64, packets: u64) -> Reading {
        let mut counts = Counts::default();
        for (at, count) in counts.0.iter_mut().enumerate() {
            *count = Count {
                packets: packets * (at as u64 + 1),
                bytes: packets * 100,
            };
        }
        Reading {
            elapsed: Duration::from_millis(at_ms),
            cpus: vec![Counts::default(), counts],
        }
    }

    fn about() -> About {
        About {
            interface: "e\u{1b}[2Jvil0".to_owned(),
            index: 3,
            up: true,
            mode: XdpMode::Generic,
            not_native: Some("EOPNOTSUPP: \u{7}".to_owned()),
            program: 7,
            program_name: "denet_xdp".to_owned(),
            pinned: Some("/sys/fs/bpf/\u{1b}x".into()),
            resumed: Some(Count::default()),
        }
    }

    fn plain(write: impl Fn(&mut Vec<u8>)) -> String {
        let mut text = Vec::new();
        write(&mut text);
        let text = String::from_utf8(text).unwrap();
        anstream::adapter::strip_str(&text).to_string()
    }

    #[test]
    fn the_report_fits_and_cannot_command_the_terminal() {
        let whole = Whole {
            first: reading(0, 0),
            last: reading(2000, 10),
            end: End::Duration,
        };
        let text = {
            let mut text = Vec::new();
            report(&mut text, &about(), &whole, 80).unwrap();
            String::from_utf8(text).unwrap()
        };
        assert!(
            !text.contains("\u{1b}[2J") && !text.contains('\u{7}'),
            "{text}"
        );
        let text = anstream::adapter::strip_str(&text).to_string();
        assert!(
            text.lines().all(|line| line.chars().count() <= 80),
            "{text}"
        );
        for line in [
            "all frames                     50       2.0 KiB           100       3.9 KiB",
            "malformed                      65         500 B           130        1000 B",
            "CPU 1                                                     100       3.9 KiB",
        ] {
            assert!(text.contains(line), "no {line:?}: {text}");
        }
        assert!(!text.contains("CPU 0"), "{text}");
    }

    #[test]
    fn a_line_names_what_came() {
        let (before, now) = (reading(1000, 1), reading(2000, 2));
        let interval = Interval {
            before: &before,
            now: &now,
        };
        let text = plain(|to| line(to, &interval).unwrap());
        assert!(text.contains("10 packets/s"), "{text}");
        assert!(
            text.contains(" ipv4 1 ipv6 2 arp 3 other 4 tcp 5"),
            "{text}"
        );
    }

    #[test]
    fn rates_of_a_few_have_a_fraction() {
        assert_eq!(
            [per_sec(0.0), per_sec(1.25), per_sec(12_345.4)],
            ["0", "1.2", "12,345"]
        );
    }
}
