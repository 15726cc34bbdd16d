//! Which steps are planned for which options, on which machine.

use super::settings::exposed;
use super::*;

fn options(profile: Profile) -> PlanOptions {
    PlanOptions {
        profile,
        user: Some("ann".to_owned()),
        xdp: false,
        kernel_symbols: false,
        any_scope: false,
        sysctls: Vec::new(),
        prefix: "/usr/local".into(),
    }
}

fn known() -> Known {
    Known {
        live: true,
        systemd: true,
        release: Some(Release(6, 1)),
        confidential: false,
        group: None,
        free_gid: 990,
        binaries: vec![("/build/denet".into(), b"x".to_vec())],
        missing: Vec::new(),
        debugfs: Some((0, 0o700)),
        sysctls: Vec::new(),
    }
}

fn texts(options: &PlanOptions, known: &Known) -> Vec<String> {
    let all = plan(options, known);
    all.iter()
        .flat_map(|action| action.steps.iter().map(Step::text))
        .collect()
}

#[test]
fn the_least_profile_sets_nothing_that_opens_the_machine() {
    let texts = texts(&options(Profile::Least), &known()).join("\n");
    for word in ["sysctl", "g+w", "0770", "debug", "sys_admin", "dac_"] {
        assert!(!texts.contains(word), "{word}: {texts}");
    }
    assert!(texts.contains("setcap cap_bpf,cap_perfmon=ep /usr/local/bin/denet"));
    assert!(texts.contains("-g tracing -m 0750"), "{texts}");
}

#[test]
fn the_documented_one_says_what_each_step_exposes() {
    let all = plan(&options(Profile::Documented), &known());
    let opening = all.iter().filter(|action| {
        matches!(
            action.target,
            Target::Sysctl(_) | Target::GroupWrite(_) | Target::MountOptions(_)
        )
    });
    let risks: Vec<_> = opening.map(|action| action.steps[0].risk()).collect();
    assert_eq!(risks.len(), 5);
    assert!(risks.iter().all(|risk| !risk.is_empty()), "{risks:?}");
}

fn with(profile: Profile, sysctls: &[(&str, &str)]) -> PlanOptions {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    PlanOptions {
        sysctls: sysctls.iter().map(owned).collect(),
        ..options(profile)
    }
}

fn file_of_settings(options: &PlanOptions) -> Action {
    let all = plan(options, &known());
    let path = Target::Path(assets::SYSCTLS.to.into());
    all.into_iter()
        .find(|action| action.target == path)
        .unwrap()
}

fn risks(action: &Action) -> String {
    let all: Vec<_> = action.steps.iter().map(Step::risk).collect();
    all.join("\n")
}

#[test]
fn each_setting_says_what_it_exposes_whoever_asks_for_it() {
    let level = ("kernel.perf_event_paranoid", "1");
    let both = risks(&file_of_settings(&with(Profile::Documented, &[level])));
    assert!(both.contains(assets::SYSCTLS.risk), "{both}");
    assert!(
        both.contains("kernel.perf_event_paranoid = 1: every user can"),
        "{both}"
    );
    let bpf = ("kernel.unprivileged_bpf_disabled", "0");
    let unknown = ("net/core/somaxconn", "9");
    let least = risks(&file_of_settings(&with(Profile::Least, &[bpf, unknown])));
    assert!(least.contains("every user reaches bpf(2)"), "{least}");
    assert!(
        least.contains("net/core/somaxconn = 9: what this"),
        "{least}"
    );
    for (key, value, risk) in wanted_sysctls(&with(Profile::Documented, &[level, bpf, unknown])) {
        assert!(
            !risk.is_empty() && risk != "as you asked",
            "{key} = {value}"
        );
    }
    assert_eq!(exposed("kernel/kptr_restrict", "2"), "");
}

#[test]
fn the_lines_that_are_told_make_the_file() {
    let level = [("kernel.perf_event_paranoid", "2")];
    let least = file_of_settings(&with(Profile::Least, &level));
    let line = "printf '%s\\n' '# Asked for with denet setup --with sysctl=KEY=VALUE' \
                'kernel.perf_event_paranoid = 2' | sudo tee /etc/sysctl.d/99-denet.conf";
    assert_eq!(least.steps[0].text(), line);
    let said = String::from_utf8(least.bytes).unwrap();
    let head = "# Asked for with denet setup --with sysctl=KEY=VALUE\n";
    assert_eq!(said, format!("{head}kernel.perf_event_paranoid = 2\n"));
    let both = file_of_settings(&with(Profile::Documented, &level));
    let commands: Vec<_> = both.steps.iter().map(Step::text).collect();
    assert!(
        commands[0].contains("setup/documented/99-denet.conf"),
        "{commands:?}"
    );
    assert!(
        commands[1].ends_with(
            "'kernel.perf_event_paranoid = 2' | sudo tee -a /etc/sysctl.d/99-denet.conf"
        )
    );
    assert!(both.bytes.starts_with(assets::SYSCTLS.bytes));
    assert!(both.bytes.ends_with(b"\nkernel.perf_event_paranoid = 2\n"));
}

#[test]
fn of_a_setting_that_is_asked_for_twice_the_last_counts() {
    let hidden = with(Profile::Documented, &[("kernel.kptr_restrict", "2")]);
    let all = wanted_sysctls(&hidden);
    let values: Vec<_> = all
        .iter()
        .map(|(key, value, _)| (&**key, &**value))
        .collect();
    let bpf = ("kernel.unprivileged_bpf_disabled", "0");
    assert_eq!(values, [bpf, ("kernel.kptr_restrict", "2")]);
}

#[test]
fn the_directory_of_settings_is_made_before_the_file() {
    for options in [
        options(Profile::Documented),
        with(Profile::Least, &[("a.b", "1")]),
    ] {
        let all = plan(&options, &known());
        let at = |path: &str| {
            let target = Target::Path(path.into());
            all.iter()
                .position(|action| action.target == target)
                .unwrap()
        };
        assert!(at("/etc/sysctl.d") < at(assets::SYSCTLS.to));
    }
}

#[test]
fn what_makes_no_sense_somewhere_is_not_planned_there() {
    let image = Known {
        live: false,
        ..known()
    };
    let all = plan(&options(Profile::Documented), &image);
    let live = |target: &Target| {
        matches!(
            target,
            Target::Sysctl(_) | Target::Mount { .. } | Target::MountOptions(_)
        )
    };
    assert!(!all.iter().any(|action| live(&action.target)));
    let locked_down = Known {
        confidential: true,
        ..known()
    };
    let all = plan(&options(Profile::Documented), &locked_down);
    let mounts = |target: &Target| matches!(target, Target::Mount { .. } | Target::MountOptions(_));
    assert!(!all.iter().any(|action| mounts(&action.target)));
    let bare = Known {
        systemd: false,
        ..known()
    };
    let texts = texts(&options(Profile::Least), &bare).join("\n");
    assert!(!texts.contains("systemd"), "{texts}");
}

#[test]
fn capabilities_are_written_as_the_kernel_reads_them() {
    // getfattr -e hex -n security.capability, after setcap cap_bpf,cap_perfmon=ep.
    let hex = capability_attribute(caps(&options(Profile::Least)).1);
    assert_eq!(hex, "010000020000000000000000c000000000000000");
}
