//! The first line: whether this is a recording, and if not, what it is instead.

use serde_json::Value;

use super::error::{StatsError, Strange};
use super::lines::Line;
use super::pruned;
use super::values::MOST_MS;
use crate::output::schema::SCHEMA;

/// What a recording says of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recording {
    pub(crate) schema: u64,
    /// Who wrote it, name and version.
    pub(crate) tool: Option<String>,
    /// The command's process, or the one attached to.
    pub(crate) pid: Option<u64>,
    /// The command and its arguments.
    pub(crate) command: Vec<String>,
    /// The cgroup, or the machine, that was attached to.
    pub(crate) attached: Option<String>,
    /// The exact bytes of `cmd` and `attached`, as recorded.
    pub(crate) exact: Vec<(&'static str, Value)>,
    /// When denet began to look, in milliseconds since 1970.
    pub(crate) t0_ms: Option<u64>,
}

fn strange(what: impl Into<String>) -> StatsError {
    StatsError::Strange(Strange(what.into()))
}

/// Bytes that files of other kinds begin with.
const BEGINNINGS: [(&[u8], &str); 5] = [
    (
        b"\x1f\x8b",
        "it is compressed (unpack it: gzip -dc FILE | denet stats -)",
    ),
    (
        b"\x28\xb5\x2f\xfd",
        "it is compressed (unpack it: zstd -dc FILE | denet stats -)",
    ),
    (
        b"\xfd7zXZ\0",
        "it is compressed (unpack it: xz -dc FILE | denet stats -)",
    ),
    (
        b"BZh",
        "it is compressed (unpack it: bzip2 -dc FILE | denet stats -)",
    ),
    (b"\x7fELF", "it is a program or library (ELF)"),
];

pub(super) fn recognise(line: &Line<'_>) -> Result<Recording, StatsError> {
    const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
    let bytes = line
        .bytes
        .strip_prefix(BYTE_ORDER_MARK)
        .unwrap_or(line.bytes);
    if let Some((_, what)) = BEGINNINGS
        .iter()
        .find(|(begin, _)| bytes.starts_with(begin))
    {
        return Err(strange(*what));
    }
    match pruned::parse(bytes) {
        Ok(parsed) => metadata(&parsed.value),
        Err(_) => Err(strange(no_json(bytes, line.ended))),
    }
}

fn metadata(value: &Value) -> Result<Recording, StatsError> {
    let kind = match value {
        Value::Object(object) => object.get("kind").and_then(Value::as_str),
        Value::Array(_) => return Err(strange("it is a JSON array")),
        _ => return Err(strange("its first line is a JSON value, not an object")),
    };
    match kind {
        Some("metadata") => {}
        Some(kind @ ("env" | "tree" | "sample" | "exit" | "summary")) => {
            let what = "it begins with a record of kind";
            return Err(strange(format!(
                "{what} \"{kind}\": the line of metadata before it is missing"
            )));
        }
        Some(kind) => return Err(strange(format!("it is JSON of kind {}", shown(kind)))),
        None if value.get("goals").is_some() => return Err(strange("it is a report of ebpf_diag")),
        None => return Err(strange("its first line is a JSON object without \"kind\"")),
    }
    let schema = match value.get("schema").and_then(Value::as_u64) {
        None => return Err(strange("its metadata has no schema")),
        Some(0) => return Err(strange("it has schema 0, which no denet wrote")),
        Some(newer) if newer > u64::from(SCHEMA) => return Err(StatsError::Newer(newer)),
        Some(known) => known,
    };
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let words = value["cmd"].as_array();
    let tool = ["name", "version"].map(|part| value["tool"][part].as_str());
    Ok(Recording {
        schema,
        tool: match tool {
            [Some(name), Some(version)] => Some(format!("{name} {version}")),
            [name, _] => name.map(str::to_owned),
        },
        pid: value["pid"].as_u64(),
        command: words.map_or_else(Vec::new, |words| words.iter().filter_map(text).collect()),
        attached: text(&value["attached"]),
        exact: ["cmd_bytes_b64", "attached_bytes_b64"]
            .into_iter()
            .filter_map(|name| Some((name, value.get(name)?.clone())))
            .collect(),
        t0_ms: value["t0_ms"].as_u64().filter(|ms| *ms <= MOST_MS),
    })
}

/// What a line is that is no JSON.
fn no_json(bytes: &[u8], ended: bool) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(|c| c.is_control() && !"\t\r".contains(c)) => text.trim(),
        _ => return "it is binary data".to_owned(),
    };
    if text.starts_with("ts_ms,") {
        return "it is a table (CSV) of denet's; stats needs the JSON lines (--out FILE without --format csv)".to_owned();
    }
    if text.starts_with('{') {
        return if ended {
            "its first line is broken JSON, or JSON that goes on in the next line".to_owned()
        } else {
            "its only line is incomplete (still being written, or cut off)".to_owned()
        };
    }
    let separated = [',', ';', '\t']
        .iter()
        .any(|c| text.matches(*c).count() > 1);
    let what = if separated { "a table (CSV)" } else { "text" };
    format!("it is {what}: {}", shown(text))
}

fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(40).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}
