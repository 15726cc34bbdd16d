//! Exit codes; 0 is success. If a command ran to its end, denet's exit code is the command's.

use crate::profile::model::{End, Run};
use crate::sys::account::Exit;

/// Wrong options or arguments.
pub const USAGE: u8 = 2;
/// eBPF was required and cannot be used; the command was not started.
pub(crate) const EBPF_UNAVAILABLE: u8 = 3;
/// Something was lost, and `--strict` makes that an error.
pub(crate) const LOST: u8 = 4;
/// `--duration` ended the command.
pub(crate) const TIMED_OUT: u8 = 124;
/// denet itself failed, or could not write all of its output.
pub(crate) const FAILED: u8 = 125;
/// The command was found but cannot be executed.
pub(crate) const NOT_EXECUTABLE: u8 = 126;
/// The command was not found.
pub(crate) const NOT_FOUND: u8 = 127;

/// `denet setup`: something conflicts, has been changed since, or does not work.
pub(crate) const NOT_AS_IT_SHOULD_BE: u8 = 1;

/// `ebpf_test`: a stage failed.
pub(crate) const STAGE_FAILED: u8 = 1;
/// `ebpf_diag`: a selected goal is blocked.
pub(crate) const GOAL_BLOCKED: u8 = 1;
/// `ebpf_diag`: a selected goal is degraded, or could not be examined.
pub(crate) const GOAL_DEGRADED: u8 = 2;
/// `ebpf_diag` and `ebpf_test`: wrong options or arguments (EX_USAGE of sysexits.h).
pub const TOOL_USAGE: u8 = 64;
/// `ebpf_diag` and `ebpf_test`: the tool itself failed, or could not write its output (EX_SOFTWARE).
pub(crate) const TOOL_FAILED: u8 = 70;

/// The exit code for a process killed by signal N is this plus N, as in shells.
const KILLED_BY: i32 = 128;

/// The code for a process killed by a signal.
pub(crate) fn of_signal(signal: i32) -> u8 {
    (KILLED_BY + signal) as u8
}

/// The code for how a process ended.
pub(crate) fn of_process(exit: Exit) -> u8 {
    match exit {
        Exit::Code(code) => code as u8,
        Exit::Signal(signal) => of_signal(signal),
    }
}

/// The code for a run. The status of a process that denet did not start is not passed on.
pub(crate) fn of_run(run: &Run) -> u8 {
    match run.end {
        End::Command | End::Duration | End::Unread if run.attached => 0,
        // The shell that started denet gets the command's status.
        End::Command => run.exit.map_or(FAILED, of_process),
        End::Duration => TIMED_OUT,
        // denet still waits for the command.
        End::Unread => FAILED,
        End::Interrupted(signal) => of_signal(signal),
    }
}
