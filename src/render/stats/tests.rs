use unicode_width::UnicodeWidthStr as _;

use super::*;

const WHOLE: &str = include_str!("../../../tests/data/recordings/whole.jsonl");

fn page(text: &str, columns: usize) -> String {
    let statistics = crate::stats::read(text.as_bytes()).unwrap();
    let mut page = Vec::new();
    report(&mut page, &statistics, 2, columns).unwrap();
    anstream::adapter::strip_str(&String::from_utf8(page).unwrap()).to_string()
}

#[test]
fn a_report_fits_narrow_and_wide_terminals() {
    for (columns, most) in [(80, 80), (200, WIDEST)] {
        let page = page(WHOLE, columns);
        for line in page.lines() {
            assert!(line.width() <= most, "{line}");
        }
        for words in [
            "denet: make -j2 'it'\\''s all'",
            "exit 2 · 1.50 s wall · 900.0 ms CPU",
            "box, Linux 6.12.1, 2 CPUs",
            "1 SIGKILL",
            "1.50 per cycle",
            "read                      3,000   50.0%  file_io",
            "others                      600   10.0%",
            "complete: no syscall was lost",
        ] {
            assert!(page.contains(words), "{words}: {page}");
        }
        assert!(
            !page.contains("odd") && !page.contains("disagree"),
            "{page}"
        );
    }
}

#[test]
fn a_recording_without_figures_shows_none() {
    let text = "{\"kind\":\"metadata\",\"schema\":1}\n";
    assert_eq!(
        page(text, 80),
        "\ndenet: a recording\ntruncated: no summary; figures are of 0 samples\n\nsamples   none\n"
    );
    let killed = "{\"kind\":\"metadata\",\"schema\":1,\"pid\":5}\n{\"kind\":\"exit\",\"pid\":5,\"signal\":11}\n";
    assert!(page(killed, 80).contains("0 samples · killed by SIGSEGV"));
    let ended = page(&format!("{text}{{\"kind\":\"summary\"}}\n"), 80);
    assert!(ended.contains("a summary without figures"), "{ended}");
}

#[test]
fn names_cannot_command_the_terminal() {
    let text = "{\"kind\":\"metadata\",\"schema\":1,\"cmd\":[\"a\\u001b[31m\"]}\n\
        {\"kind\":\"\\u001b]0;x\\u0007\"}\n";
    let page = page(text, 80);
    assert!(
        !page.contains('\u{1b}') && !page.contains('\u{7}'),
        "{page:?}"
    );
}

#[test]
fn the_object_says_what_the_text_says() {
    let statistics = crate::stats::read(WHOLE.as_bytes()).unwrap();
    let object = object(&statistics);
    assert_eq!(
        (&object["kind"], &object["schema"]),
        (&"stats".into(), &1.into())
    );
    assert_eq!(object["truncated"], false);
    assert_eq!(object["metrics"]["mem_rss_kb"]["peak"], 5000.0);
    assert_eq!(object["samples"]["longest_gap_ms"], 1000);
    assert_eq!(object["exits"]["by_signal"]["9"], 1);
    assert_eq!(object["exits"]["of_pid"]["exit_code"], 2);
    assert_eq!(object["summary"]["total_time_secs"], 1.5);
    assert_eq!(object["ebpf"]["syscalls"]["total"], 6000);
    assert_eq!(object["odd"]["none"], true);
    assert_eq!(object["ebpf"].get("processes"), None);
}
