//! The one place where tests wait: for an event, never for a length of time.

use std::time::{Duration, Instant};

/// Far more than the slowest guest needs: only an event that never happens ends the wait.
const GENEROUS: Duration = Duration::from_secs(240);

/// Returns once `holds` does. `what` names the event in the failure.
pub fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < GENEROUS, "never happened: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The value, once there is one.
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let mut value = None;
    wait_until(what, || {
        value = found();
        value.is_some()
    });
    value.expect("found")
}
