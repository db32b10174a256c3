//! The vectors of the raw dialect's documentation, and that a URL says what it signs.

use model::AppCode;

use super::raw::Url;

#[test]
fn the_documented_url_comes_out() {
    let app = AppCode::parse("demo").expect("a code");
    let mut url = Url::new("278d425bdf160c739803");
    url.add("channel", "private-x");
    url.sign(&app, "7ad3773142a6692b25b8", Some("7"), 1_700_000_000);
    assert_eq!(
        url.target(&app),
        "/a/demo/raw?key=278d425bdf160c739803&channel=private-x&user_id=7&expires=1700000000\
         &signature=b739b53b3412a12f88e4581dd0765a884d6c6f04d6418ad63f29ce4e81359bdc"
    );
}

#[test]
fn values_are_escaped_only_in_the_url() {
    let app = AppCode::parse("demo").expect("a code");
    let mut url = Url::new("k");
    url.add("channel", "news/sport+1");
    assert_eq!(url.target(&app), "/a/demo/raw?key=k&channel=news%2Fsport%2B1");
}
