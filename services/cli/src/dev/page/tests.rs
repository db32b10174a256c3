//! Who gets the page, and what is in it.

use std::path::Path;

use super::*;
use crate::dev::ReadyApp;

fn page(code: &str) -> DevPage {
    let page = DevPage::new(Invocation::new(Path::new(".wharf")));
    let text = String::from;
    page.show(&Ready {
        ready: true,
        gateway_url: text("http://127.0.0.1:7000"),
        admin_url: text("http://127.0.0.1:7001"),
        apps: vec![ReadyApp {
            app: text(code),
            app_code: text(code),
            app_id: text("1"),
            key: text("k"),
            secret: text("s"),
            api_key: None,
        }],
    });
    page
}

#[test]
fn only_this_machine_gets_it_and_only_by_a_name_of_its_own() {
    let page = page("demo");
    let served = |path: &str, host: &str, client: &str| {
        page.get(path, host, client.parse().expect("an address")).is_some()
    };
    for host in
        ["localhost", "LOCALHOST:7000", "127.0.0.1:7000", "127.9.9.9", "[::1]", "[::1]:7000"]
    {
        assert!(served("/", host, "127.0.0.1"), "{host}");
        assert!(served("/", host, "::1"), "{host}");
        assert!(served("/", host, "::ffff:127.0.0.1"), "{host}");
        assert!(!served("/", host, "192.168.0.7"), "{host} from elsewhere");
        assert!(!served("/x", host, "127.0.0.1"), "{host} elsewhere");
    }
    for host in [
        "",
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.168.0.1:7000",
        "[::]",
        "[::1",
        "0.0.0.0",
        "evil@localhost",
    ] {
        assert!(!served("/", host, "127.0.0.1"), "{host}");
    }
}

#[test]
fn texts_of_apps_stay_data() {
    let page = page("</script><script>alert(1)</script>");
    let (_, html) = page.get("/", "localhost", IpAddr::from([127, 0, 0, 1])).expect("the page");
    let html = String::from_utf8(html.to_vec()).expect("UTF-8");
    assert!(!html.contains("alert(1)</script>"));
    assert!(html.contains("\\u003c/script>"));
}

#[test]
fn what_runs_is_what_the_policy_names() {
    let page = page("demo");
    let (_, html) = page.get("/", "localhost", IpAddr::from([127, 0, 0, 1])).expect("the page");
    let html = String::from_utf8(html.to_vec()).expect("UTF-8");
    let between = |open: &str, close: &str| {
        let (_, rest) = html.split_once(open).expect("the element");
        String::from(rest.split_once(close).expect("its end").0)
    };
    let policy = page.security_policy();
    assert!(policy.contains(&hash(&between("<script>", "</script>"))));
    assert!(policy.contains(&hash(&between("<style>", "</style>"))));
    assert!(!html.contains(" style=") && !html.contains(" onclick="));
}
