//! What is told of this system can be typed; what is told of an image changes no other.

use super::*;
use crate::setup::plan::Action;

fn found(image: Option<&str>) -> Survey {
    let action = Action {
        steps: vec![Step::AddGroup("tracing")],
        target: Target::Group("tracing".to_owned()),
        wanted: State::Present,
        bytes: Vec::new(),
        why: "",
        replaces: true,
    };
    let item = Item {
        action,
        now: None,
        standing: Standing::ToDo,
    };
    Survey {
        items: vec![item],
        notes: Vec::new(),
        image: image.map(Into::into),
    }
}

fn options() -> PlanOptions {
    PlanOptions {
        profile: Profile::Least,
        user: Some("ann".to_owned()),
        xdp: false,
        kernel_symbols: false,
        any_scope: false,
        sysctls: Vec::new(),
        prefix: "/usr/local".into(),
    }
}

fn told(image: Option<&str>) -> [String; 2] {
    let (mut listed, mut done) = (Vec::new(), Vec::new());
    let found = found(image);
    plan(&mut listed, &found, &options(), 80).unwrap();
    applied(&mut done, &found, &[], Some("ann"), 80).unwrap();
    [listed, done].map(|text| {
        let text = String::from_utf8(text).unwrap();
        anstream::adapter::strip_str(&text).to_string()
    })
}

#[test]
fn what_is_told_of_an_image_changes_no_other_system() {
    let [listed, done] = told(Some("/srv/my image"));
    let setup = "  sudo denet setup --root '/srv/my image'";
    assert!(
        listed.ends_with(&format!("\n{setup} --apply\n")),
        "{listed}"
    );
    assert!(done.ends_with(&format!("\n{setup} --rollback\n")), "{done}");
    assert_eq!((listed + &done).matches("sudo").count(), 2);
    let json = plan_json(&found(Some("/srv/my image")), &options());
    assert_eq!(json["root"], "/srv/my image");
    let step = &json["steps"][0]["steps"][0];
    assert_eq!(step["kind"], "group");
    assert!(step["command"].is_null() && step["rollback"].is_null());
    let mut status_of = Vec::new();
    let image = Some(Path::new("/srv/my image"));
    status(&mut status_of, None, &[], image, 80).unwrap();
    let said = String::from_utf8(status_of).unwrap();
    assert!(
        said.contains("`denet setup --root '/srv/my image'`"),
        "{said}"
    );
}

#[test]
fn what_is_told_of_this_system_can_be_typed() {
    let [listed, done] = told(None);
    assert!(
        listed.contains("by        sudo groupadd --system tracing"),
        "{listed}"
    );
    assert!(
        listed.contains("undo      sudo groupdel tracing"),
        "{listed}"
    );
    assert!(
        listed.ends_with("\n  sudo denet setup --apply\n"),
        "{listed}"
    );
    assert!(
        done.ends_with("\n  sudo denet setup --rollback\n"),
        "{done}"
    );
    let json = plan_json(&found(None), &options());
    let step = &json["steps"][0]["steps"][0];
    assert_eq!(step["command"], "sudo groupadd --system tracing");
    assert!(json["root"].is_null());
}
