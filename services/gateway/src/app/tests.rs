//! Places and rates hold under any order of events; changed apps keep what is theirs.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use model::{
    AppCode, AppId, AppLimits, AppState, CloseReason, Environment, Reason, RuleSet, SigningKey,
};
use proptest::prelude::*;
use protocol::AppRef;

use super::App;
use super::address::{Addresses, client_address};
use super::directory::{Directory, verdict};
use super::rate::{Exceeded, Meter, Now, Rate, RateLimit, charge};
use crate::config::TrustedProxies;

const SECOND: u64 = 1_000_000_000;

fn app(id: u64, code: &str, keys: &[&str]) -> model::App {
    let keys = keys.iter();
    model::App {
        id: AppId(id),
        code: AppCode::parse(code).unwrap(),
        state: AppState::Active,
        environment: Environment::Production,
        dialects: vec!["raw", "pusher"],
        origins: Vec::new(),
        echo: false,
        client_events: false,
        subscription_counts: false,
        keys: keys.map(|key| SigningKey { key: String::from(*key), secret: vec![7; 32] }).collect(),
        api_keys: Vec::new(),
        limits: AppLimits::default(),
        rules: RuleSet::new(Vec::new()).unwrap(),
    }
}

fn limited(limits: AppLimits) -> Arc<App> {
    Arc::new(App::new(model::App { limits, ..app(1, "one", &["key"]) }))
}

proptest! {
    /// What any arrival pattern gets is at most the rate and one burst, in every stretch of it.
    #[test]
    fn rate_is_never_exceeded(
        rate in prop_oneof![1_u32..20, 1_u32..100_000, Just(7_000_000)],
        burst in 1_u32..50,
        arrivals in prop::collection::vec((0_u64..SECOND / 2, 1_u32..8), 1..200),
    ) {
        let rate = Rate { per_second: rate, burst };
        let mut meter = Meter::default();
        let shared = RateLimit::default();
        let mut now = Now(0);
        let mut admitted: Vec<(u64, u64)> = Vec::new();
        for (gap, cost) in arrivals {
            // Mostly bursts: gaps of nothing, then of anything.
            now.0 += if gap % 3 == 0 { 0 } else { gap >> (gap % 24) };
            let outcome = meter.charge(now, rate, cost);
            prop_assert_eq!(outcome, shared.charge(now, rate, cost));
            match outcome {
                Ok(()) => admitted.push((now.0, u64::from(cost))),
                Err(Exceeded { retry_after: None }) => prop_assert!(cost > burst),
                Err(Exceeded { retry_after: Some(wait) }) => {
                    // The wait is true: just long enough.
                    let wait = u64::try_from(wait.as_nanos()).unwrap();
                    let mut early = meter;
                    prop_assert!(early.charge(Now(now.0 + wait - 1), rate, cost).is_err());
                    let mut later = meter;
                    prop_assert_eq!(later.charge(Now(now.0 + wait), rate, cost), Ok(()));
                }
            }
        }
        for (first, (start, _)) in admitted.iter().enumerate() {
            let mut total = 0;
            for (at, cost) in &admitted[first..] {
                total += cost;
                let due = u128::from(at - start) * u128::from(rate.per_second);
                let most = due / u128::from(SECOND) + u128::from(burst);
                prop_assert!(u128::from(total) <= most, "{total} of {most}");
            }
        }
    }

    /// Whoever keeps to the rate is never refused.
    #[test]
    fn rate_is_fully_given(rate in 1_u32..1_000, burst in 1_u32..10) {
        let rate = Rate { per_second: rate, burst };
        let gap = SECOND.div_ceil(u64::from(rate.per_second));
        let mut meter = Meter::default();
        for turn in 0..200 {
            prop_assert_eq!(meter.charge(Now(turn * gap), rate, 1), Ok(()));
        }
    }

    /// Forgetting an idle meter changes nothing.
    #[test]
    fn idle_meter_is_a_fresh_one(used in 1_u32..20, later in 0_u64..40 * SECOND) {
        let rate = Rate { per_second: 1, burst: 20 };
        let mut meter = Meter::default();
        meter.charge(Now(SECOND), rate, used).unwrap();
        let now = Now(SECOND + later);
        let mut count = 0;
        while meter.charge(now, rate, 1).is_ok() {
            count += 1;
        }
        let mut fresh = Meter::default();
        fresh.charge(Now(SECOND), rate, used).unwrap();
        prop_assert_eq!(fresh.is_idle(now), count == 20);
    }
}

#[test]
fn changed_rate_takes_effect_at_once() {
    let slow = Rate { per_second: 1, burst: 100 };
    let fast = Rate { per_second: 1_000, burst: 2_000 };
    let limit = RateLimit::default();
    let now = Now(5 * SECOND);
    limit.charge(now, slow, 100).unwrap();
    // A hundred seconds are owed at the slow rate; a millisecond is all that the fast one asks.
    let wait = limit.charge(now, fast, 1).unwrap_err().retry_after;
    assert_eq!(wait, Some(Duration::from_millis(1)));
    assert_eq!(limit.charge(Now(now.0 + SECOND / 1_000), fast, 1), Ok(()));
    assert_eq!(limit.charge(Now(now.0 + SECOND), fast, 999), Ok(()));

    // And down: what was left over at the fast rate buys nothing at the slow one.
    let limit = RateLimit::default();
    limit.charge(now, fast, 2_000).unwrap();
    let one = Rate { per_second: 1, burst: 2 };
    let wait = limit.charge(now, one, 1).unwrap_err().retry_after;
    assert_eq!(wait, Some(Duration::from_secs(1)));
}

/// Two shards that read the clock apart do not forgive each other's debts.
#[test]
fn late_reading_of_the_clock_lets_nothing_more_through() {
    let limit = RateLimit::default();
    let rate = Rate { per_second: 1_000, burst: 10 };
    limit.charge(Now(SECOND), rate, 10).unwrap();
    for _ in 0..100 {
        assert!(limit.charge(Now(SECOND - SECOND / 20), rate, 1).is_err());
        assert!(limit.charge(Now(SECOND), rate, 1).is_err());
    }
}

#[test]
fn rate_stands_at_the_edges_of_its_numbers() {
    let most = Rate { per_second: u32::MAX, burst: u32::MAX };
    assert_eq!(charge(0, Now(0), most, u32::MAX).1, Ok(()));
    let least = Rate { per_second: 0, burst: 0 };
    assert_eq!(charge(0, Now(0), least, 1), (SECOND, Ok(())));
    assert_eq!(charge(0, Now(0), least, 2), (0, Err(Exceeded { retry_after: None })));
    let slow = Rate { per_second: 1, burst: u32::MAX };
    assert_eq!(charge(u64::MAX, Now(u64::MAX - 1), slow, u32::MAX), (u64::MAX, Ok(())));
    assert_eq!(Rate::new(u32::MAX).burst, u32::MAX);
    assert_eq!(charge(7, Now(9), Rate::new(1), 0), (9, Ok(())));
    assert_eq!(size_of::<Meter>(), 8);
}

#[test]
fn shared_rate_is_not_exceeded_by_threads() {
    let limit = RateLimit::default();
    let rate = Rate { per_second: 1, burst: 1_000 };
    let admitted: usize = std::thread::scope(|scope| {
        let work = || (0..1_000).filter(|_| limit.charge(Now(0), rate, 1).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(admitted, 1_000);
}

#[tokio::test(start_paused = true)]
async fn now_stands_still_with_the_clock_and_moves_with_it() {
    let before = Now::read();
    assert_eq!(Now::read(), before);
    tokio::time::advance(Duration::from_secs(3)).await;
    assert_eq!(Now::read().0 - before.0, 3 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn app_gives_as_many_places_as_it_has_and_takes_them_back() {
    let app = limited(AppLimits { connections_max: 2, ..AppLimits::default() });
    let first = app.admit().await.unwrap();
    let second = app.admit().await.unwrap();
    assert_eq!(app.admit().await.unwrap_err(), CloseReason::ConnectionQuota);
    assert_eq!((app.connections(), first.connections()), (2, 2));
    drop(first);
    let third = app.admit().await.unwrap();
    assert!(Arc::ptr_eq(third.app(), second.app()));
    drop((second, third));
    assert_eq!(app.connections(), 0);
}

#[tokio::test(start_paused = true)]
async fn app_limits_connects_each_second_and_keeps_no_place_for_the_refused() {
    let app = limited(AppLimits { connects_per_second: 2, ..AppLimits::default() });
    for _ in 0..4 {
        app.admit().await.unwrap();
    }
    assert_eq!(app.admit().await.unwrap_err(), CloseReason::RateLimited);
    assert_eq!(app.connections(), 0);
    tokio::time::advance(Duration::from_millis(500)).await;
    app.admit().await.unwrap();
    assert_eq!(app.admit().await.unwrap_err(), CloseReason::RateLimited);
}

#[tokio::test(start_paused = true)]
async fn disabled_app_admits_nobody() {
    let app = limited(AppLimits::default());
    let open = app.admit().await.unwrap();
    app.apply(model::App { state: AppState::Disabled, ..model::App::clone(&app.config()) });
    assert_eq!(app.admit().await.unwrap_err(), CloseReason::AppDisabled);
    assert_eq!(app.connections(), 1);
    drop(open);
}

#[tokio::test(start_paused = true)]
async fn app_charges_publishes_all_or_none_and_says_when() {
    let app = limited(AppLimits { publishes_per_second: 5, ..AppLimits::default() });
    app.charge_publish(8).unwrap();
    let refusal = app.charge_publish(4).unwrap_err();
    assert_eq!(refusal.reason, Reason::RateLimited);
    assert_eq!(refusal.retry_after, Some(Duration::from_millis(400)));
    app.charge_publish(2).unwrap();
    assert_eq!(app.charge_publish(11).unwrap_err().reason, Reason::LimitExceeded);
    tokio::time::advance(Duration::from_millis(200)).await;
    app.charge_publish(1).unwrap();
    assert!(app.charge_publish(1).is_err());
}

#[test]
fn directory_finds_an_app_by_each_of_its_names() {
    let directory = Directory::new(vec![app(2, "two", &["b", "c"]), app(1, "one", &["a"])]);
    let code = |text: &str| AppRef::Code(AppCode::parse(text).unwrap());
    let rows = [
        (AppRef::Key(String::from("a")), Some(1)),
        (AppRef::Key(String::from("c")), Some(2)),
        (AppRef::Key(String::from("two")), None),
        (code("two"), Some(2)),
        (code("three"), None),
        (AppRef::Id(1), Some(1)),
        (AppRef::Id(3), None),
    ];
    for (name, id) in rows {
        let found = directory.find(&name).map(|app| app.config().id.0);
        assert_eq!(found, id, "{name:?}");
    }
    let ids: Vec<u64> = directory.all().iter().map(|app| app.config().id.0).collect();
    assert_eq!(ids, [1, 2]);
}

/// C-13.
#[tokio::test(start_paused = true)]
async fn apps_that_stay_keep_their_connections_through_a_change() {
    let directory =
        Directory::new(vec![app(1, "one", &["a"]), app(2, "two", &["b"]), app(3, "three", &["c"])]);
    let one = directory.by_id(1).unwrap();
    let three = directory.by_id(3).unwrap();
    let permit = one.admit().await.unwrap();

    let mut renamed = app(1, "uno", &["a2"]);
    renamed.limits.connections_max = 1;
    let applied = directory.apply(vec![renamed, app(2, "two", &["b"]), app(4, "three", &["c"])]);

    let ids = |apps: &[Arc<App>]| apps.iter().map(|app| app.config().id.0).collect::<Vec<_>>();
    assert_eq!(ids(&applied.added), [4]);
    assert_eq!(ids(&applied.changed), [1]);
    assert_eq!(ids(&applied.removed), [3]);
    assert!(Arc::ptr_eq(&applied.changed[0], &one));
    assert!(Arc::ptr_eq(&directory.by_key("a2").unwrap(), &one));
    assert!(directory.by_key("a").is_none());
    assert!(directory.by_code(&AppCode::parse("one").unwrap()).is_none());
    assert_eq!(one.connections(), 1);
    assert_eq!(one.admit().await.unwrap_err(), CloseReason::ConnectionQuota);
    assert_eq!(three.admit().await.unwrap_err(), CloseReason::AppDisabled);
    assert_eq!(directory.by_key("c").unwrap().config().id.0, 4);
    drop(permit);

    let same = directory.all().iter().map(|app| model::App::clone(&app.config())).collect();
    let applied = directory.apply(same);
    assert!(applied.added.is_empty() && applied.changed.is_empty() && applied.removed.is_empty());
}

#[test]
fn verdict_says_why_a_connection_may_not_stay() {
    let now = |change: &dyn Fn(&mut model::App)| {
        let mut app = app(1, "one", &["old", "new"]);
        change(&mut app);
        verdict("old", &app, "pusher", Some("https://a.example"))
    };
    let origins = |list: &[&str]| list.iter().map(|text| String::from(*text)).collect::<Vec<_>>();
    assert_eq!(now(&|_| {}), None);
    assert_eq!(now(&|app| app.limits.connections_max = 1), None);
    assert_eq!(now(&|app| app.keys.truncate(1)), None);
    assert_eq!(now(&|app| drop(app.keys.remove(0))), Some(CloseReason::KeyRevoked));
    assert_eq!(now(&|app| app.state = AppState::Disabled), Some(CloseReason::AppDisabled));
    assert_eq!(now(&|app| app.dialects = vec!["raw"]), Some(CloseReason::DialectDisabled));
    assert_eq!(now(&|app| app.origins = origins(&["https://a.example"])), None);
    assert_eq!(
        now(&|app| app.origins = origins(&["https://b.example"])),
        Some(CloseReason::OriginRefused)
    );
    let mut listed = app(1, "one", &["old"]);
    listed.origins = origins(&["https://b.example"]);
    assert_eq!(verdict("old", &listed, "raw", None), None);
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// H-53.
#[test]
fn address_connects_as_often_as_its_rate_allows() {
    let addresses = Arc::new(Addresses::new(100, Rate::new(20)));
    let now = Now(SECOND);
    let permits: Vec<_> = (0..40).map(|_| addresses.admit(ip("192.0.2.1"), now)).collect();
    assert!(permits.iter().all(Result::is_ok));
    let wait = addresses.admit(ip("192.0.2.1"), now).unwrap_err();
    assert_eq!(wait, Duration::from_millis(50));
    assert!(addresses.admit(ip("192.0.2.2"), now).is_ok());
    assert!(addresses.admit(ip("192.0.2.1"), Now(now.0 + SECOND / 20)).is_ok());
}

#[test]
fn address_opens_as_many_connections_as_it_may() {
    let addresses = Arc::new(Addresses::new(2, Rate::new(1_000)));
    let rows = [
        ("2001:db8:1:2::1", true),
        // The same /64.
        ("2001:db8:1:2:ffff::9", true),
        ("2001:db8:1:2::1", false),
        ("2001:db8:1:3::1", true),
        ("192.0.2.1", true),
        ("::ffff:192.0.2.1", true),
        ("192.0.2.1", false),
        ("192.0.2.2", true),
    ];
    let mut permits = Vec::new();
    for (address, admitted) in rows {
        let outcome = addresses.admit(ip(address), Now(0));
        assert_eq!(outcome.is_ok(), admitted, "{address}");
        permits.extend(outcome.ok());
    }
    permits.remove(0);
    assert!(addresses.admit(ip("2001:db8:1:2::7"), Now(0)).is_ok());
}

#[test]
fn addresses_remembered_are_bounded_and_open_ones_are_never_forgotten() {
    let addresses = Arc::new(Addresses::new(2, Rate { per_second: 1, burst: 3 }));
    let of = |number: u32| IpAddr::V4(number.into());
    let open: Vec<_> =
        (0..500).map(|number| addresses.admit(of(number), Now(0)).unwrap()).collect();
    // None of these is whole again while they come.
    for number in 1_000..201_000 {
        drop(addresses.admit(of(number), Now(u64::from(number))).unwrap());
    }
    assert!(addresses.remembered() <= 500 + 16 * 4_096, "{}", addresses.remembered());
    for number in 0..500 {
        let second = addresses.admit(of(number), Now(SECOND)).unwrap();
        assert!(addresses.admit(of(number), Now(SECOND)).is_err());
        drop(second);
    }
    drop(open);
    // Long after, all are whole again and the next flood drops them.
    for number in 300_000..400_000 {
        drop(addresses.admit(of(number), Now(1_000 * SECOND)).unwrap());
    }
    assert!(addresses.remembered() <= 16 * 4_096, "{}", addresses.remembered());
}

/// H-40, H-43.
#[test]
fn client_address_is_the_rightmost_that_no_trusted_proxy_has() {
    let trusted = TrustedProxies {
        blocks: vec!["10.0.0.0/8".parse().unwrap(), "2001:db8:f::/48".parse().unwrap()],
        hops_max: 3,
    };
    let many = vec!["10.0.0.2"; 200].join(", ");
    let rows: &[(&str, &str, &[&str], &str)] = &[
        ("no header", "10.0.0.1", &[], "10.0.0.1"),
        ("H-40 untrusted peer", "192.0.2.9", &["203.0.113.1"], "192.0.2.9"),
        ("one proxy", "10.0.0.1", &["203.0.113.1"], "203.0.113.1"),
        ("spoofed on the left", "10.0.0.1", &["1.1.1.1, 203.0.113.1"], "203.0.113.1"),
        ("two proxies", "10.0.0.1", &["203.0.113.1, 10.0.0.2"], "203.0.113.1"),
        ("two headers", "10.0.0.1", &["1.1.1.1", "203.0.113.1,10.0.0.2"], "203.0.113.1"),
        ("header order", "10.0.0.1", &["203.0.113.1", "198.51.100.7"], "198.51.100.7"),
        ("all trusted", "10.0.0.1", &["10.0.0.3, 10.0.0.2"], "10.0.0.3"),
        ("H-43 depth", "10.0.0.1", &["203.0.113.1, 10.0.0.4, 10.0.0.3, 10.0.0.2"], "10.0.0.4"),
        ("H-43 many", "10.0.0.1", &[&many], "10.0.0.2"),
        ("garbage", "10.0.0.1", &["203.0.113.1, unknown"], "10.0.0.1"),
        ("garbage further left", "10.0.0.1", &["x, 203.0.113.1"], "203.0.113.1"),
        ("empty", "10.0.0.1", &[""], "10.0.0.1"),
        ("with port", "10.0.0.1", &["203.0.113.1:4711"], "203.0.113.1"),
        ("IPv6", "2001:db8:f::1", &["2001:db8::7"], "2001:db8::7"),
        ("IPv6 in brackets", "10.0.0.1", &["[2001:db8::7]"], "2001:db8::7"),
        ("IPv6 with port", "10.0.0.1", &["[2001:db8::7]:443"], "2001:db8::7"),
        ("mapped peer", "::ffff:10.0.0.1", &["203.0.113.1"], "203.0.113.1"),
        ("mapped entry", "10.0.0.1", &["::ffff:203.0.113.1"], "203.0.113.1"),
        ("mapped proxy entry", "10.0.0.1", &["203.0.113.1, ::ffff:10.0.0.2"], "203.0.113.1"),
    ];
    for (name, peer, headers, expected) in rows {
        let headers = headers.iter().map(|value| value.as_bytes());
        assert_eq!(client_address(ip(peer), headers, &trusted), ip(expected), "{name}");
    }
    let not_text: &[u8] = &[0xff, 0xfe];
    assert_eq!(client_address(ip("10.0.0.1"), [not_text].into_iter(), &trusted), ip("10.0.0.1"));
    let nobody = TrustedProxies::default();
    let header: &[u8] = b"203.0.113.1";
    assert_eq!(client_address(ip("127.0.0.1"), [header].into_iter(), &nobody), ip("127.0.0.1"));
}
