//! Where results, errors and the log go, for all verbs.

pub(crate) mod colour;
pub(crate) mod complaint;
mod destination;
pub mod escape;
pub mod exact;
pub(crate) mod layout;
pub(crate) mod page;
pub(crate) mod records;
pub(crate) mod reporter;
pub(crate) mod schema;
pub(crate) mod shell;
pub(crate) mod status;
pub(crate) mod width;

pub(crate) use destination::{Format, Output};

use std::io;

use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::format::debug_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use escape::printable;

/// Sends the log to stderr: all messages of denet with `--debug`, or those that RUST_LOG selects.
pub fn start_log(debug: bool) {
    let asked = std::env::var("RUST_LOG")
        .ok()
        .and_then(|filter| filter.parse::<Targets>().ok());
    let filter = match (asked, debug) {
        (Some(asked), _) => asked,
        (None, true) => Targets::new().with_target("denet", LevelFilter::DEBUG),
        (None, false) => return,
    };
    let colours = colour::is_wanted(&io::stderr());
    let fields = debug_fn(|to, field, value| {
        let value = printable(&format!("{value:?}"));
        match field.name() {
            "message" => write!(to, "{value}"),
            name => write!(to, "{name}={value}"),
        }
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colours)
        .fmt_fields(fields.delimited(" "));
    tracing_subscriber::registry()
        .with(lines.with_target(false))
        .with(filter)
        .init();
}

/// Reports an error of `denet`.
pub(crate) fn complain(what: &str) {
    complaint::complain("denet", what);
}
