//! What sampling costs and how right it is, beside others: `cargo bench --bench sampling`.
//!
//! The same work under each tool in turn, in every round; the work measures its own CPU time. Medians of
//! the rounds' ratios. Peers that are not installed are named as such (Debian: sysstat and time; PyPI:
//! psrecord).

mod bare;
mod facts;
#[path = "../cost/median.rs"]
mod median;
#[path = "../cost/table.rs"]
mod table;
mod tools;
mod work;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use median::median;
use table::{Row, Table};
use tools::{ATTACHING, RUNNING, Watched};

const ROUNDS: usize = 5;

/// Limit as a multiple of opening, reading and closing the same files.
const COST_LIMIT: f64 = 1.5;

fn main() -> ExitCode {
    if let Some(done) = work::asked() {
        return done;
    }
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "sampling: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Box<dyn Error>> {
    let mut table = Table::default();
    table.extend(accuracy()?);
    table.extend(cost()?);
    table.extend(tools::throng()?);
    table.extend(tools::an_hour()?);
    table.extend(facts::rows()?);
    write!(io::stdout(), "{table}")?;
    match table.missed() {
        0 => Ok(()),
        missed => Err(format!("{missed} of the budgets above missed").into()),
    }
}

/// Which part of the CPU time each tool saw.
fn accuracy() -> Result<Vec<Row>, Box<dyn Error>> {
    let mut rows = Vec::new();
    for (work, what) in work::KNOWN {
        for tool in RUNNING {
            let mut shares = Vec::new();
            let mut missing = None;
            for _ in 0..ROUNDS {
                match tool.run(work)? {
                    Watched::Seen { cpu, known } => shares.push(100.0 * cpu / known),
                    Watched::Absent(why) => missing = Some(why),
                }
            }
            let name = format!("{what}: CPU time that {} saw", tool.name);
            rows.push(match missing {
                Some(why) => Row::missing(name, why),
                None => {
                    let error = shares.iter().map(|share| (share - 100.0).abs());
                    let worst = error.fold(0.0, f64::max);
                    let row = Row::new(name, format!("{:.1} %", median(shares.iter().copied())));
                    match tool.name {
                        "denet" => row.at_most(2.0, "% off, in any round", worst),
                        _ => row,
                    }
                }
            });
        }
    }
    Ok(rows)
}

/// CPU time that each tool itself takes to watch fifty processes.
fn cost() -> Result<Vec<Row>, Box<dyn Error>> {
    let mut taken = vec![Vec::new(); ATTACHING.len()];
    let mut missing: Vec<Option<String>> = vec![None; ATTACHING.len()];
    for _ in 0..ROUNDS {
        for (at, tool) in ATTACHING.iter().enumerate() {
            match tool.attach()? {
                Ok(share) => taken[at].push(100.0 * share),
                Err(why) => missing[at] = Some(why),
            }
        }
    }
    // Of each round, over what the bare reads took in it.
    let times = median(taken[0].iter().zip(&taken[1]).map(|(own, bare)| own / bare));
    let own = median(taken[0].iter().copied());
    let rows = ATTACHING.iter().zip(taken).zip(missing);
    Ok(rows
        .map(|((tool, taken), missing)| {
            let name = format!(
                "{} over 50 processes, {}: of one core",
                tool.name, tool.how_often
            );
            match missing {
                Some(why) => Row::missing(name, why),
                None if tool.name == "denet" => {
                    Row::new(name, format!("{:.2} %", median(taken.iter().copied())))
                        .times(times, "bare reads")
                        .at_most(COST_LIMIT, "×", times)
                }
                None => Row::new(name, format!("{:.2} %", median(taken.iter().copied())))
                    .times(median(taken.iter().copied()) / own, "denet"),
            }
        })
        .collect())
}
