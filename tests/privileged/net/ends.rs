//! The two ends of a socket, and how it came to have them.

use std::net::{IpAddr, Ipv6Addr};

use serde_json::{Value, json};

use super::told::{exact, is_forbidden, number, watch};

/// As `/proc/net/tcp` writes an end: words of the machine's order, in hexadecimal.
fn end_of(address: &str, port: u64) -> String {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    let ip = match address.parse().expect("an address") {
        IpAddr::V4(ip) => word(ip.octets()),
        IpAddr::V6(ip) => sixteen(ip)
            .chunks(4)
            .map(|four| word([four[0], four[1], four[2], four[3]]))
            .collect(),
    };
    format!("{ip}:{port:04X}")
}

fn sixteen(ip: Ipv6Addr) -> [u8; 16] {
    ip.octets()
}

#[test]
fn ends_are_those_that_the_kernel_shows() {
    if is_forbidden() {
        return;
    }
    let told = watch(&[], &["held"]);
    exact(&told);
    let mut compared = 0;
    for line in &told.program {
        let words: Vec<_> = line.split_whitespace().collect();
        let (inode, ends) = match words[..] {
            [
                "tcp" | "tcp6" | "udp",
                _,
                local,
                remote,
                _,
                _,
                _,
                _,
                _,
                _,
                inode,
                ..,
            ] => (inode, Some((local, remote))),
            ["unix", _, _, _, _, _, _, inode, ..] => (inode, None),
            _ => continue,
        };
        let its = |it: &&Value| {
            it["inode"]
                .as_u64()
                .map(|inode| inode.to_string())
                .as_deref()
                == Some(inode)
        };
        let Some(seen) = told.endpoints.iter().find(its) else {
            continue;
        };
        compared += 1;
        let Some((local, remote)) = ends else {
            assert_eq!(words.get(8), Some(&"@held"), "{line}");
            assert_eq!(seen["local"], json!({"abstract": "held"}));
            continue;
        };
        let end = |end: &Value| {
            end_of(
                end["address"].as_str().expect("an address"),
                number(&end["port"]),
            )
        };
        assert_eq!(
            (end(&seen["local"]).as_str(), end(&seen["remote"]).as_str()),
            (local, remote)
        );
    }
    // Two connections, two sockets of UDP and one of Unix.
    assert_eq!(compared, 7, "{:?}", told.program);
}

#[test]
fn what_becomes_of_connects() {
    if is_forbidden() {
        return;
    }
    let told = watch(&["--events"], &["connects"]);
    exact(&told);
    let outcomes = |port: u64| {
        let its = told.to_port(port).into_iter();
        its.map(|it| {
            (
                it["calls"]["connect"].clone(),
                it["errors"].clone(),
                it["connects"]["made"].clone(),
            )
        })
        .collect::<Vec<_>>()
    };
    let one = |errors: Value, made: u64| (Value::from(1), errors, Value::from(made));
    assert_eq!(
        outcomes(7003),
        [one(json!({"connect": {"EINPROGRESS": 1}}), 1)]
    );
    assert_eq!(
        outcomes(7999),
        [
            one(json!({"connect": {"ECONNREFUSED": 1}}), 0),
            one(
                json!({"connect": {"EINPROGRESS": 1}, "connect_later": {"ECONNREFUSED": 1}}),
                0
            ),
            one(json!({"connect": {"ENETUNREACH": 1}}), 0),
        ]
    );
    let given_up = json!({"connect": {"EALREADY": 1, "EINPROGRESS": 1}, "connect_given_up": 1});
    assert_eq!(
        outcomes(7004),
        [one(json!({}), 1), (2.into(), given_up, 0.into())]
    );
    // What came of it is told after the call that began it.
    let later: Vec<_> = told
        .calls
        .windows(2)
        .filter(|pair| pair[1]["what"] == "connect_later")
        .map(|pair| {
            (
                pair[0]["errno"].clone(),
                pair[1]["errno"].clone(),
                pair[1]["seq"].clone(),
            )
        })
        .collect();
    let begun = Value::from("EINPROGRESS");
    let refused = Value::from("ECONNREFUSED");
    assert_eq!(
        later,
        [
            (begun.clone(), Value::Null, Value::Null),
            (begun, refused, Value::Null)
        ]
    );
}
