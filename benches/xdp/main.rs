//! What counting a frame costs, beside a program that only lets it pass: `cargo bench --features test-hooks --bench xdp`, as root.
//!
//! By BPF_PROG_TEST_RUN, by turns. Whatever else happens on the machine only adds, and somebody on the core's
//! other thread adds more to a program that does more: so of each the fastest run counts. Ends with 1 if
//! the budget is missed.

#[path = "../cost/cpu.rs"]
mod cpu;
#[path = "../cost/table.rs"]
#[expect(dead_code, reason = "the other bench uses the rest")]
mod table;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::{Command, ExitCode};

use denet::monitor::xdp::cost::{self, Round};

use table::{Row, Table};

const ROUNDS: usize = 101;
/// Nanoseconds that counting adds, over those of a program that only lets the frame pass.
const LIMIT: f64 = 1.5;

/// Says that this process is the one that measures.
const HERE: &str = "here";

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some(HERE) => measure(),
        _ => on_one_cpu(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "xdp: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Migrations would be measured otherwise.
fn on_one_cpu() -> Result<(), Box<dyn Error>> {
    let bench = std::env::current_exe()?;
    let status = Command::new("taskset")
        .args(["-c", &cpu::last()?])
        .arg(bench)
        .arg(HERE)
        .status()?;
    match status.success() {
        true => Ok(()),
        false => Err("not within the budget, or not measured".into()),
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    let mut table = Table::default();
    for (name, frame) in frames() {
        let rounds = cost::rounds(&frame, ROUNDS)?;
        table.extend(rows(name, &rounds));
    }
    write!(io::stdout(), "{table}")?;
    match table.missed() {
        0 => Ok(()),
        missed => Err(format!("{missed} of the budgets above missed").into()),
    }
}

fn rows(name: &str, rounds: &[Round]) -> Vec<Row> {
    let fastest = |of: &dyn Fn(&Round) -> Option<f64>| {
        let all = rounds.iter().filter_map(of);
        all.fold(f64::INFINITY, f64::min)
    };
    let pass = fastest(&|round| Some(round.pass));
    let added = fastest(&|round| Some(round.counted)) - pass;
    let by_helpers = fastest(&|round| round.by_helpers) - pass;
    vec![
        Row::new(format!("{name}: only passed"), format!("{pass:.1} ns")),
        Row::new(format!("{name}: counted"), format!("+{added:.1} ns"))
            .times(added / pass, "passed")
            .at_most(LIMIT, "×", added / pass),
        Row::new(
            format!("{name}: counted, without CAP_PERFMON"),
            format!("+{by_helpers:.1} ns"),
        )
        .times(by_helpers / pass, "passed"),
    ]
}

const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];

fn frames() -> [(&'static str, Vec<u8>); 5] {
    let udp = |length: u8| {
        [
            &[0, 53, 0, 53, 0, 8 + length, 0, 0][..],
            &vec![0; length.into()],
        ]
        .concat()
    };
    let mut tcp = vec![0; 1460];
    tcp[12] = 0x50;
    let options = [&[17, 0, 1, 4, 0, 0, 0, 0][..], &udp(18)].concat();
    [
        (
            "UDP on IPv4, 60 bytes",
            frame(&[], IPV4, ipv4(17, &udp(18))),
        ),
        ("TCP on IPv4, 1494 bytes", frame(&[], IPV4, ipv4(6, &tcp))),
        ("UDP on IPv6", frame(&[], IPV6, ipv6(17, &udp(18)))),
        (
            "UDP on IPv6 behind an extension",
            frame(&[], IPV6, ipv6(0, &options)),
        ),
        (
            "UDP on IPv4, QinQ",
            frame(&[0x88, 0xa8, 0, 1, 0x81, 0, 0, 2], IPV4, ipv4(17, &udp(18))),
        ),
    ]
}

fn frame(tags: &[u8], protocol: [u8; 2], packet: Vec<u8>) -> Vec<u8> {
    [&[2; 12], tags, &protocol[..], &packet].concat()
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = (20 + payload.len()) as u16;
    let [high, low] = total.to_be_bytes();
    let header = [
        0x45, 0, high, low, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
    ];
    [&header[..], payload].concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    let header = [0x60, 0, 0, 0, high, low, next, 64];
    [&header[..], &[0xfd; 32], payload].concat()
}
