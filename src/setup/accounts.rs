//! Groups, as lines of `/etc/group` and `/etc/gshadow`: edits of their text, and nothing else in it.

/// `name:password:gid:member,member`
struct Line<'a> {
    name: &'a str,
    gid: Option<u32>,
    members: Vec<&'a str>,
}

fn parse(line: &str) -> Option<Line<'_>> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?;
    let gid = fields.nth(1).and_then(|gid| gid.parse().ok());
    let members = fields.next().unwrap_or_default();
    Some(Line {
        name,
        gid,
        members: members
            .split(',')
            .filter(|member| !member.is_empty())
            .collect(),
    })
}

/// Number and members of a group.
pub(super) fn find(text: &str, name: &str) -> Option<(u32, Vec<String>)> {
    let found = text
        .lines()
        .filter_map(parse)
        .find(|line| line.name == name)?;
    let members = found.members.iter().map(|member| (*member).to_owned());
    Some((found.gid?, members.collect()))
}

/// The primary group of a user, if no other user is a member.
pub(super) fn private_group(passwd: &str, group: &str, uid: u32) -> Option<u32> {
    let account = |line: &str| {
        let fields: Vec<&str> = line.split(':').collect();
        let numbers = (
            fields.get(2)?.parse::<u32>().ok()?,
            fields.get(3)?.parse::<u32>().ok()?,
        );
        Some((fields[0].to_owned(), numbers.0, numbers.1))
    };
    let accounts: Vec<_> = passwd.lines().filter_map(account).collect();
    let (name, _, gid) = accounts.iter().find(|(_, of, _)| *of == uid)?;
    let is_primary_of_others = accounts
        .iter()
        .any(|(_, of, primary)| *of != uid && primary == gid);
    let mut groups = group
        .lines()
        .filter_map(parse)
        .filter(|line| line.gid == Some(*gid));
    let others_belong = groups.any(|line| line.members.iter().any(|member| member != name));
    (!is_primary_of_others && !others_belong).then_some(*gid)
}

/// Whether a group has this id.
pub(super) fn has_number(text: &str, gid: u32) -> bool {
    text.lines()
        .filter_map(parse)
        .any(|line| line.gid == Some(gid))
}

/// A number for a group of the system that nobody has: the highest free one below 1000, as
/// systemd-sysusers(8) takes it.
pub(super) fn free_gid(group: &str, passwd: &str) -> Option<u32> {
    let third = |line: &str| line.split(':').nth(2)?.parse::<u32>().ok();
    let fourth = |line: &str| line.split(':').nth(3)?.parse::<u32>().ok();
    let mut taken: Vec<u32> = group.lines().filter_map(third).collect();
    taken.extend(passwd.lines().filter_map(third));
    taken.extend(passwd.lines().filter_map(fourth));
    (101..1000).rev().find(|gid| !taken.contains(gid))
}

fn with_line(text: &str, line: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{text}{end}{line}\n")
}

/// `/etc/group` with one group more.
pub(super) fn added(text: &str, name: &str, gid: u32) -> String {
    with_line(text, &format!("{name}:x:{gid}:"))
}

/// `/etc/gshadow` with one group more, which no password opens.
pub(super) fn added_shadow(text: &str, name: &str) -> String {
    with_line(text, &format!("{name}:!::"))
}

/// Either without the group.
pub(super) fn removed(text: &str, name: &str) -> String {
    let of_it = |line: &&str| line.split(':').next() != Some(name);
    text.split_inclusive('\n').filter(of_it).collect()
}

/// Either with the user among the members, who stand in the last field, or without.
pub(super) fn with_member(text: &str, group: &str, user: &str, member: bool) -> String {
    let changed = |line: &str| -> String {
        let (content, end) = match line.strip_suffix('\n') {
            Some(content) => (content, "\n"),
            None => (line, ""),
        };
        let Some((front, list)) = content
            .rsplit_once(':')
            .filter(|_| content.split(':').next() == Some(group))
        else {
            return line.to_owned();
        };
        let mut members: Vec<&str> = list.split(',').filter(|name| !name.is_empty()).collect();
        if members.contains(&user) == member {
            return line.to_owned();
        }
        members.retain(|name| *name != user);
        if member {
            members.push(user);
        }
        format!("{front}:{}{end}", members.join(","))
    };
    text.split_inclusive('\n').map(changed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "root:x:0:\nusers:x:100:ann,bob\nlast:x:999:";

    #[test]
    fn a_private_group_has_one_member() {
        let passwd =
            "root:x:0:0::/root:\nann:x:1000:1000::/:\nbob:x:1001:100::/:\neve:x:1002:100::/:\n";
        let of = |group: &str, uid| private_group(passwd, group, uid);
        assert_eq!(of("ann:x:1000:\nusers:x:100:\n", 1000), Some(1000));
        assert_eq!(of("ann:x:1000:ann\n", 1000), Some(1000));
        assert_eq!(of("", 1000), Some(1000));
        assert_eq!(of("ann:x:1000:\nalias:x:1000:bob\n", 1000), None);
        assert_eq!(of("users:x:100:\n", 1001), None);
        assert_eq!(of("ann:x:1000:\n", 1003), None);
    }

    #[test]
    fn what_is_added_can_be_taken_away_to_the_byte() {
        for text in [GROUP, "", "root:x:0:\n"] {
            let more = added(text, "tracing", 990);
            assert_eq!(find(&more, "tracing"), Some((990, Vec::new())));
            let with = with_member(&more, "tracing", "ann", true);
            assert_eq!(find(&with, "tracing"), Some((990, vec!["ann".to_owned()])));
            assert_eq!(with_member(&with, "tracing", "ann", false), more);
            let back = removed(&more, "tracing");
            assert_eq!(back.trim_end_matches('\n'), text.trim_end_matches('\n'));
        }
        let ended = "root:x:0:\n";
        assert_eq!(removed(&added(ended, "t", 1), "t"), ended);
    }

    #[test]
    fn others_are_left_as_they_are() {
        let text = with_member(GROUP, "users", "cid", true);
        assert_eq!(text, "root:x:0:\nusers:x:100:ann,bob,cid\nlast:x:999:");
        assert_eq!(with_member(&text, "users", "cid", false), GROUP);
        assert_eq!(with_member(GROUP, "none", "ann", true), GROUP);
    }

    #[test]
    fn a_group_id_in_use_is_found() {
        assert!(has_number(GROUP, 999) && !has_number(GROUP, 99));
    }

    #[test]
    fn a_number_that_nobody_has_is_taken() {
        assert_eq!(free_gid(GROUP, ""), Some(998));
        assert_eq!(free_gid(GROUP, "x:x:998:997::/:/bin/sh\n"), Some(996));
    }
}
