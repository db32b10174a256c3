//! Who may what: rules and naming conventions, row by row.

use std::time::Duration;

use model::{
    Access, App, AppCode, AppId, AppLimits, AppState, ChannelName, ChannelRule, Environment,
    Reason, RuleSet, Source,
};

use crate::session::{Policy, Standing};

const BOTH: &[&str] = &["raw", "pusher"];
const RAW: &[&str] = &["raw"];

#[test]
fn rules_and_names_decide_together() {
    use Access::{Anyone, Server, Signed};
    use Reason::{Forbidden, Unauthorized};
    // Rule, dialects, channel, and what holds for the public key and for a signed client.
    let rows = [
        (Anyone, BOTH, "lobby", Ok(()), Ok(())),
        (Signed, BOTH, "lobby", Err(Unauthorized), Ok(())),
        (Server, BOTH, "lobby", Err(Forbidden), Err(Forbidden)),
        (Anyone, BOTH, "private-a", Err(Unauthorized), Ok(())),
        (Anyone, BOTH, "presence-a", Err(Unauthorized), Ok(())),
        (Anyone, BOTH, "private-encrypted-a", Err(Unauthorized), Ok(())),
        (Server, BOTH, "private-a", Err(Forbidden), Err(Forbidden)),
        // Without the dialect its names mean nothing.
        (Anyone, RAW, "private-a", Ok(()), Ok(())),
    ];
    for (access, dialects, channel, key, signed) in rows {
        let app = app(access, dialects);
        let channel = ChannelName::parse(channel).expect("a name");
        let policy = Policy::of(&app, &channel);
        for (standing, expected) in [(Standing::Key, key), (Standing::Signed, signed)] {
            let told = policy.may_subscribe(standing).map_err(|refusal| refusal.reason);
            assert_eq!(told, expected, "{access:?} {dialects:?} {channel} {standing:?}");
        }
    }
}

#[test]
fn denial_says_which_rule_and_clause_decided() {
    let app = app(Access::Server, BOTH);
    let channel = ChannelName::parse("lobby").expect("a name");
    let refusal = Policy::of(&app, &channel).may_publish(Standing::Signed).expect_err("refused");
    let decision = refusal.decision.expect("a decision");
    assert_eq!((&*decision.pattern, decision.clause), ("*", "publish = server"));
}

#[test]
fn only_the_backend_writes_last_values_and_only_where_they_are_kept() {
    let app = app(Access::Anyone, BOTH);
    let client = Source::Client { user: None };
    let rows = [
        ("cache-a", Source::Server, Some(Duration::from_secs(1_800))),
        ("cache-a", client, None),
        ("a", Source::Server, None),
    ];
    for (channel, source, expected) in rows {
        let channel = ChannelName::parse(channel).expect("a name");
        assert_eq!(Policy::of(&app, &channel).keep(&source).last_value, expected, "{channel}");
    }
}

fn app(access: Access, dialects: &[&'static str]) -> App {
    let rule = ChannelRule { subscribe: access, publish: access, ..ChannelRule::of_last_resort() };
    App {
        id: AppId(1),
        code: AppCode::parse("demo").expect("a code"),
        state: AppState::Active,
        environment: Environment::Development,
        dialects: dialects.to_vec(),
        origins: Vec::new(),
        echo: false,
        client_events: true,
        subscription_counts: false,
        keys: Vec::new(),
        api_keys: Vec::new(),
        limits: AppLimits::default(),
        rules: RuleSet::new(vec![rule]).expect("one rule"),
    }
}
