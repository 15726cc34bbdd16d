//! What denet costs, beside what others cost: `cargo bench --features test-hooks --bench cost`, as root.
//!
//! One interleaved run, one markdown table. The machine may change its speed at any moment, so only
//! what was measured within one short round is compared, and medians of those comparisons are shown.
//! Ends with 1 if a budget is missed, or if denet itself could not be measured.

mod binary;
mod cpu;
mod flood;
mod hook;
mod median;
mod memory;
mod peers;
mod session;
mod table;
mod workload;

use std::error::Error;
use std::io::{self, Write as _};
use std::process::ExitCode;

use table::Table;

fn main() -> ExitCode {
    let workload = std::env::args().nth(1).as_deref().and_then(workload::named);
    match workload.unwrap_or(measure_all)() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cost: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure_all() -> Result<(), Box<dyn Error>> {
    let mut table = Table::default();
    table.extend(hook::rows()?);
    table.extend(peers::counting()?);
    table.extend(peers::telling()?);
    table.extend(flood::rows()?);
    table.extend(session::rows()?);
    table.extend(memory::rows()?);
    write!(io::stdout(), "{table}")?;
    match table.missed() {
        0 => Ok(()),
        missed => Err(format!("{missed} of the budgets above missed").into()),
    }
}
